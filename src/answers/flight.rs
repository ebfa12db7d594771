//! One answer on its way to all who asked for it: pieces as they come from ClickHouse, and everybody's place in them.
//!
//! While no more has come than the rule keeps, all of it is held, and whoever asks the same may join. Beyond that, the first who still
//! reads sets the pace, a bounded window is held around their place, nobody joins, and who falls behind it is cut off. The statement
//! lives as long as one of them reads.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};

use super::Head;
use crate::admission::Slot;
use crate::record::Stopped;
use crate::refusal::{Reason, Refusal};

type BoxError = Box<dyn Error + Send + Sync>;

/// Bytes that are held before and behind the place of who sets the pace, once more has come than is kept.
const WINDOW: u64 = 64 * 1024;

/// What all answers that are arriving may hold together, in bytes, beside their windows.
#[derive(Default)]
pub(super) struct Budget {
    held: AtomicUsize,
    most: usize,
}

impl Budget {
    pub(super) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), most: usize::try_from(most).unwrap_or(usize::MAX) })
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.most);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The answer on its way.
pub(super) struct Flight {
    state: Mutex<State>,
    /// Most bytes that are kept.
    most: usize,
}

#[derive(Default)]
struct State {
    budget: Arc<Budget>,
    head: Option<Arc<Head>>,
    /// Whether others may be given this answer: it is whole so far, and no failure.
    is_for_others: bool,
    /// What is held, each with the number of bytes up to its end.
    pieces: VecDeque<(u64, Bytes)>,
    /// The number of the first of them.
    first: u64,
    /// Bytes that have come.
    total: u64,
    /// Bytes of the budget that are taken.
    reserved: usize,
    /// More has come than is kept.
    is_over: bool,
    end: Option<End>,
    code: Option<u16>,
    /// How many bytes the answer has, where its head says so.
    length: Option<u64>,
    /// Everybody who reads, who came first first.
    readers: BTreeMap<u64, Place>,
    came: u64,
    /// What brings the pieces, where it waits for room or for the last reader to leave.
    pump: Option<Waker>,
    /// The first one's, who asked.
    slot: Option<Slot>,
    refusal: Option<Refusal>,
}

enum End {
    Whole,
    Broken(Why),
    /// There is no answer.
    Nothing,
}

/// Why an answer broke off.
#[derive(Debug, Clone)]
pub(super) enum Why {
    /// Keyhouse ended it.
    Stopped(Stopped),
    Else(Arc<str>),
}

/// How far a reader is.
#[derive(Default)]
struct Place {
    pieces: u64,
    bytes: u64,
    waker: Option<Waker>,
}

/// The answer broke off, or is gone.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("the answer that was joined broke off: {0}")]
    Broken(Arc<str>),
    #[error("the caller took an answer that others share more slowly than its window allows")]
    Behind,
}

impl State {
    fn wake(&mut self) {
        for place in self.readers.values_mut() {
            if let Some(waker) = place.waker.take() {
                waker.wake();
            }
        }
    }

    fn wake_pump(&mut self) {
        if let Some(waker) = self.pump.take() {
            waker.wake();
        }
    }

    /// Who still reads, who sets the pace first. Who has fallen behind does not, and may take long to learn of it: nobody waits for them.
    fn reading(&self) -> impl Iterator<Item = &Place> {
        self.readers.values().filter(|place| place.pieces >= self.first)
    }

    /// Bytes before who sets the pace.
    fn ahead(&self) -> u64 {
        self.reading().next().map_or(0, |pace| self.total.saturating_sub(pace.bytes))
    }

    /// Lets go of what nobody needs, or is too far behind for.
    fn trim(&mut self) {
        let Some(pace) = self.reading().next() else { return };
        let last = self.reading().map(|place| place.bytes).min().unwrap_or_default();
        let until = last.max(pace.bytes.saturating_sub(WINDOW)).min(pace.bytes);
        while self.pieces.front().is_some_and(|(end, _)| *end <= until) {
            self.pieces.pop_front();
            self.first += 1;
        }
        let begin = self.pieces.front().map_or(self.total, |(end, piece)| end - piece.len() as u64);
        let held = usize::try_from(self.total - begin).unwrap_or(usize::MAX);
        self.budget.give_back(self.reserved.saturating_sub(held));
        self.reserved = self.reserved.min(held);
    }

    /// The next piece of this reader's, or how the answer ended.
    fn next(&mut self, reader: u64) -> Option<Result<Option<Bytes>, BoxError>> {
        let place = self.readers.get_mut(&reader)?;
        let Some(index) = place.pieces.checked_sub(self.first) else { return Some(Err(Cut::Behind.into())) };
        if let Some((_, piece)) = usize::try_from(index).ok().and_then(|index| self.pieces.get(index)) {
            place.pieces += 1;
            place.bytes += piece.len() as u64;
            let piece = piece.clone();
            if self.is_over {
                self.trim();
                self.wake_pump();
            }
            return Some(Ok(Some(piece)));
        }
        match self.end.as_ref()? {
            End::Whole => Some(Ok(None)),
            End::Broken(Why::Stopped(stopped)) => Some(Err(stopped.clone().into())),
            End::Broken(Why::Else(why)) => Some(Err(Cut::Broken(Arc::clone(why)).into())),
            End::Nothing => Some(Err(Cut::Broken("there was none".into()).into())),
        }
    }

    fn is_at_the_end(&self, reader: u64) -> bool {
        matches!(self.end, Some(End::Whole)) && self.readers.get(&reader).is_some_and(|place| place.pieces == self.first + self.pieces.len() as u64)
    }

    /// The slot, once nobody needs it: the answer has come to its end, and who asked has left.
    fn free_slot(&mut self) -> Option<Slot> {
        let is_free = self.readers.is_empty() || (self.end.is_some() && !self.readers.contains_key(&FIRST));
        if is_free { self.slot.take() } else { None }
    }
}

/// The number of who asked.
const FIRST: u64 = 0;

impl Flight {
    /// One with its first reader.
    pub(super) fn new(most: usize, budget: Arc<Budget>) -> (Arc<Self>, Reader) {
        let mut state = State { budget, is_for_others: true, came: 1, ..State::default() };
        state.readers.insert(FIRST, Place::default());
        let flight = Arc::new(Self { state: Mutex::new(state), most });
        let reader = Reader { flight: Arc::clone(&flight), number: FIRST };
        (flight, reader)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another reader, where one may join.
    pub(super) fn join(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.state();
        let is_open = state.is_for_others && !state.is_over && !state.readers.is_empty() && matches!(state.end, None | Some(End::Whole));
        if !is_open {
            return None;
        }
        let number = state.came;
        state.came += 1;
        state.readers.insert(number, Place::default());
        Some(Reader { flight: Arc::clone(self), number })
    }

    /// The answer begins. Others are given it where it is no failure, by its status and by the error in its head.
    pub(super) fn begins(&self, head: Arc<Head>, code: Option<u16>, slot: Option<Slot>, length: Option<u64>) {
        let mut state = self.state();
        state.is_for_others = head.status == StatusCode::OK && code.is_none();
        (state.head, state.code, state.slot, state.length) = (Some(head), code, slot, length);
        state.wake();
    }

    /// The next piece, and the error that the answer is so far.
    pub(super) fn push(&self, piece: Bytes, code: Option<u16>) {
        let mut state = self.state();
        self.add(&mut state, piece, code);
        state.wake();
    }

    /// The last piece, where there is one. Gives all pieces where they are to be kept; readers do not know of the end yet.
    pub(super) fn push_last(&self, piece: Option<Bytes>, code: Option<u16>) -> Option<Vec<Bytes>> {
        let mut state = self.state();
        if let Some(piece) = piece {
            self.add(&mut state, piece, code);
        }
        (state.is_for_others && !state.is_over && state.code.is_none()).then(|| state.pieces.iter().map(|(_, piece)| piece.clone()).collect())
    }

    fn add(&self, state: &mut State, piece: Bytes, code: Option<u16>) {
        state.code = code;
        state.total += piece.len() as u64;
        let end = state.total;
        if !state.is_over {
            if state.total <= self.most as u64 && state.budget.take(piece.len()) {
                state.reserved += piece.len();
            } else {
                state.is_over = true;
            }
        }
        state.pieces.push_back((end, piece));
        if state.is_over {
            state.trim();
        }
    }

    /// Waits until there is room for another piece.
    pub(super) async fn room(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            if !state.is_over || state.ahead() < WINDOW {
                return Poll::Ready(());
            }
            state.pump = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits until nobody reads any more.
    pub(super) async fn deserted(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            if state.reading().next().is_none() {
                return Poll::Ready(());
            }
            state.pump = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// All of it has come.
    pub(super) fn ends(&self) {
        self.end(End::Whole);
    }

    /// It broke off.
    pub(super) fn breaks(&self, why: Why) {
        self.end(End::Broken(why));
    }

    /// There is none: who asked is told why, and the others ask for themselves.
    pub(super) fn fails(&self, refusal: Refusal) {
        self.state().refusal = Some(refusal);
        self.end(End::Nothing);
    }

    fn end(&self, end: End) {
        let mut state = self.state();
        if state.end.is_none() {
            state.end = Some(end);
        }
        let slot = state.free_slot();
        state.wake();
        drop(state);
        drop(slot);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let state = self.state();
        state.budget.give_back(state.reserved);
    }
}

/// One who reads. Dropped, it makes way for the others.
pub struct Reader {
    flight: Arc<Flight>,
    number: u64,
}

impl Reader {
    /// Waits for the beginning of the answer that this one asked for.
    ///
    /// # Errors
    /// As asking it.
    pub(super) async fn answered(&self) -> Result<Arc<Head>, Refusal> {
        self.waits(|state| match (&state.head, &state.end) {
            (Some(head), _) => Some(Ok(Arc::clone(head))),
            (None, Some(_)) => {
                Some(Err(state.refusal.take().unwrap_or_else(|| Refusal::new(Reason::Internal, "The statement ended without an answer."))))
            }
            (None, None) => None,
        })
        .await
    }

    /// Waits for the beginning of an answer that another asked for; nothing where there is none to be had, before a byte of it.
    pub(super) async fn joined(&self) -> Option<Arc<Head>> {
        self.waits(|state| match (&state.head, &state.end) {
            (_, Some(End::Broken(_) | End::Nothing)) => Some(None),
            (Some(_), _) if !state.is_for_others => Some(None),
            (Some(head), end) if end.is_some() || state.total > 0 => Some(Some(Arc::clone(head))),
            (_, _) => None,
        })
        .await
    }

    async fn waits<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        poll_fn(|context| {
            let mut state = self.flight.state();
            if let Some(seen) = look(&mut state) {
                return Poll::Ready(seen);
            }
            if let Some(place) = state.readers.get_mut(&self.number) {
                place.waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// The error that the answer is so far.
    pub(super) fn code(&self) -> Option<u16> {
        self.flight.state().code
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.flight.state();
        let next = state.next(self.number);
        if next.is_none()
            && let Some(place) = state.readers.get_mut(&self.number)
        {
            place.waker = Some(context.waker().clone());
        }
        next.map_or(Poll::Pending, |next| Poll::Ready(next.transpose().map(|piece| piece.map(Frame::data))))
    }

    fn is_end_stream(&self) -> bool {
        self.flight.state().is_at_the_end(self.number)
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.flight.state();
        let length = if matches!(state.end, Some(End::Whole)) { Some(state.total) } else { state.length };
        let read = state.readers.get(&self.number).map_or(0, |place| place.bytes);
        length.map_or_else(SizeHint::default, |length| SizeHint::with_exact(length.saturating_sub(read)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.flight.state();
        state.readers.remove(&self.number);
        // Another may set the pace now, or nobody is left.
        if state.is_over {
            state.trim();
        }
        state.wake_pump();
        let slot = state.free_slot();
        drop(state);
        drop(slot);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use std::time::Instant;

    use futures_util::FutureExt;
    use http::HeaderMap;

    use super::*;
    use crate::record::RequestId;

    const MOST: usize = 200_000;
    const PIECE: usize = 30_000;

    fn head() -> Arc<Head> {
        let headers = HeaderMap::new();
        Arc::new(Head {
            status: StatusCode::OK,
            headers,
            node: None,
            query_id: None,
            ignored: Vec::new(),
            summary: None,
            by: RequestId::new(),
            at: Instant::now(),
        })
    }

    /// What one reader has read, and how it was over for them.
    struct Reads {
        reader: Option<Reader>,
        bytes: Vec<u8>,
        end: Option<Result<(), String>>,
    }

    impl Reads {
        fn of(reader: Reader) -> Self {
            Self { reader: Some(reader), bytes: Vec::new(), end: None }
        }

        fn read(&mut self) {
            let (Some(reader), None) = (&mut self.reader, &self.end) else { return };
            match Pin::new(reader).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => {}
                Poll::Ready(Some(Ok(frame))) => self.bytes.extend_from_slice(&frame.into_data().unwrap()),
                Poll::Ready(Some(Err(error))) => self.end = Some(Err(error.to_string())),
                Poll::Ready(None) => self.end = Some(Ok(())),
            }
        }
    }

    #[test]
    fn nobody_waits_for_who_has_fallen_behind() {
        let (flight, first) = Flight::new(PIECE, Budget::new(1 << 20));
        let (mut first, second) = (Reads::of(first), flight.join().unwrap());
        flight.begins(head(), None, None, None);
        for _ in 0..10 {
            assert!(flight.room().now_or_never().is_some());
            flight.push(vec![0; PIECE].into(), None);
            first.read();
        }
        assert!(flight.deserted().now_or_never().is_none());
        drop(first);
        // The second reads nothing and does not know that it is cut.
        assert!(flight.deserted().now_or_never().is_some(), "the statement runs on for nobody");
        let mut second = Reads::of(second);
        for _ in 0..2 {
            second.read();
        }
        assert!(second.end.unwrap().unwrap_err().contains("slowly"));
    }

    /// Whoever joins, reads, falls behind and leaves in whatever order, while pieces come, end or break off.
    #[test]
    fn nobody_reads_anything_but_the_beginning_of_what_came_or_all_of_it() {
        let mut seed = 7_u64;
        let mut next = |most: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % most
        };
        let (mut wholes, mut broken, mut behind, mut kept, mut joined) = (0, 0, 0, 0, 0);
        for round in 0..400 {
            let budget = Budget::new(10 * MOST as u64);
            let (flight, first) = Flight::new(MOST, Arc::clone(&budget));
            let (mut readers, mut came, mut over) = (vec![Reads::of(first)], Vec::<u8>::new(), false);
            flight.begins(head(), None, None, None);
            for _ in 0..next(120) {
                match next(10) {
                    // With nobody left, the pump is gone.
                    0..4 if !over && flight.deserted().now_or_never().is_none() && flight.room().now_or_never().is_some() => {
                        let piece: Vec<u8> = (0..1 + next(PIECE)).map(|at| (came.len() + at) as u8).collect();
                        came.extend_from_slice(&piece);
                        flight.push(piece.into(), None);
                    }
                    4 => {
                        if let Some(reader) = flight.join() {
                            assert!(came.len() <= MOST, "somebody joined what was too long");
                            readers.push(Reads::of(reader));
                            joined += 1;
                        }
                    }
                    5 if next(8) == 0 => {
                        let index = next(readers.len());
                        readers[index].reader = None;
                    }
                    6 if !over && next(10) == 0 => {
                        over = true;
                        if next(2) == 0 {
                            kept += usize::from(flight.push_last(None, None).is_some_and(|pieces| pieces.concat() == came));
                            flight.ends();
                        } else {
                            flight.breaks(Why::Else("broken".into()));
                        }
                    }
                    _ => {
                        let index = next(readers.len());
                        readers[index].read();
                    }
                }
                let state = flight.state();
                let held: usize = state.pieces.iter().map(|(_, piece)| piece.len()).sum();
                let window = if state.is_over { 2 * usize::try_from(WINDOW).unwrap() + 2 * PIECE } else { 0 };
                assert!(held <= state.reserved + window && state.reserved <= MOST, "{held} held, {} of the budget", state.reserved);
                assert_eq!(budget.held.load(Ordering::Relaxed), state.reserved);
            }
            let whole = matches!(flight.state().end, Some(End::Whole));
            for reads in &mut readers {
                for _ in 0..200 {
                    reads.read();
                }
                assert!(came.starts_with(&reads.bytes), "round {round}");
                match &reads.end {
                    Some(Ok(())) => {
                        assert!(whole && reads.bytes == came, "an end that was none");
                        wholes += 1;
                    }
                    Some(Err(why)) if why.contains("slowly") => behind += 1,
                    Some(Err(_)) => {
                        assert!(!whole);
                        broken += 1;
                    }
                    None => assert!(reads.reader.is_none() || !over),
                }
            }
            drop((readers, flight));
            assert_eq!(budget.held.load(Ordering::Relaxed), 0, "round {round}");
        }
        assert!([wholes, broken, behind, kept, joined].iter().all(|count| *count > 10), "{wholes} {broken} {behind} {kept} {joined}");
    }
}
