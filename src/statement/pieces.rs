//! A request's body, piece by piece, its codings undone.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body;

use super::coding::{Broken, Coding, Decoder, Paused};
use crate::config::Limits;
use crate::listen::Arriving;
use crate::refusal::{Reason, Refusal};

/// Most bytes of one piece that was decoded.
const PIECE: usize = 64 * 1024;

/// What may unpack to any multiple of its size, in bytes.
const SMALL: u64 = 1024 * 1024;

/// A body on its way in.
pub(super) struct Pieces {
    body: Arriving,
    /// The outermost coding first.
    stages: Vec<Stage>,
    came: u64,
    gave: u64,
    most_times: u64,
    ended: bool,
    /// What came so far, as it came, where that is kept.
    kept: Option<VecDeque<Bytes>>,
}

struct Stage {
    coding: Coding,
    decoder: Decoder,
    input: Bytes,
    finished: bool,
}

impl Pieces {
    /// A body with these codings, the outermost first.
    pub(super) fn new(body: Arriving, codings: &[Coding], limits: &Limits) -> Self {
        let stage = |&coding: &Coding| Stage { coding, decoder: Decoder::new(coding), input: Bytes::new(), finished: false };
        let stages = codings.iter().map(stage).collect();
        Self { body, stages, came: 0, gave: 0, most_times: limits.decoding_ratio, ended: false, kept: None }
    }

    /// Nothing more.
    pub(super) fn none(limits: &Limits) -> Self {
        Self::new(Arriving::nothing(), &[], limits)
    }

    /// How many bytes came so far.
    pub(super) fn came(&self) -> u64 {
        self.came
    }

    /// The codings, the outermost first.
    pub(super) fn codings(&self) -> Vec<Coding> {
        self.stages.iter().map(|stage| stage.coding).collect()
    }

    /// From now on what comes is kept too.
    pub(super) fn keep_what_came(&mut self) {
        self.kept = Some(VecDeque::new());
    }

    /// What came since, as it came.
    pub(super) fn what_came(&mut self) -> VecDeque<Bytes> {
        self.kept.take().unwrap_or_default()
    }

    /// Whether there is surely no more.
    pub(super) fn is_end(&self) -> bool {
        self.ended || (self.stages.is_empty() && self.body.is_end_stream())
    }

    /// How many bytes are to come, as they come or with their codings undone, where that is known.
    pub(super) fn left(&self, as_they_come: bool) -> Option<u64> {
        if self.ended { Some(0) } else { self.body.size_hint().exact().filter(|_| as_they_come || self.stages.is_empty()) }
    }

    /// The next bytes as they come; nothing at the end.
    ///
    /// # Errors
    /// 400 where the body breaks off.
    pub(super) fn poll_raw(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                // Trailers say nothing that anybody asked for.
                Some(Ok(frame)) => {
                    let Some(piece) = frame.into_data().ok().filter(|piece| !piece.is_empty()) else { continue };
                    self.came += piece.len() as u64;
                    if let Some(kept) = &mut self.kept {
                        kept.push_back(piece.clone());
                    }
                    return Poll::Ready(Ok(Some(piece)));
                }
                Some(Err(error)) => return Poll::Ready(Err(Refusal::new(Reason::BodyBroken, "The body broke off.").because(error))),
                None => {
                    self.ended = true;
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }

    /// The next bytes with every coding undone; nothing at the end.
    ///
    /// # Errors
    /// 400 where the body breaks off or is not what its coding says, 413 where it unpacks to too many times its size.
    pub(super) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        let stages = self.stages.len();
        let piece = ready!(self.poll_stage(stages, context))?;
        self.gave += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if stages > 0 && self.gave > SMALL && self.gave / self.most_times > self.came {
            let says = format!("The body unpacks to more than {} times its size (limits.decoding_ratio); send it plain.", self.most_times);
            return Poll::Ready(Err(Refusal::new(Reason::BodyTooLarge, says)));
        }
        Poll::Ready(Ok(piece))
    }

    /// What comes out of the first so many stages.
    fn poll_stage(&mut self, stages: usize, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        let Some(index) = stages.checked_sub(1) else {
            return self.poll_raw(context);
        };
        loop {
            let Some(stage) = self.stages.get_mut(index) else { return Poll::Ready(Ok(None)) };
            if stage.finished {
                return Poll::Ready(Ok(None));
            }
            let mut piece = BytesMut::new();
            let paused = stage.decoder.decode(&mut stage.input, &mut piece, PIECE).map_err(unreadable)?;
            if paused == Paused::Full || !piece.is_empty() {
                return Poll::Ready(Ok(Some(piece.freeze())));
            }
            let input = ready!(self.poll_stage(index, context))?;
            let Some(stage) = self.stages.get_mut(index) else { return Poll::Ready(Ok(None)) };
            match input {
                Some(input) => stage.input = input,
                None => {
                    stage.decoder.finish().map_err(unreadable)?;
                    stage.finished = true;
                }
            }
        }
    }
}

fn unreadable(broken: Broken) -> Refusal {
    Refusal::new(Reason::MalformedBody, format!("The body cannot be read: {broken}."))
}
