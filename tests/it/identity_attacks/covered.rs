//! Every number of the list stands in a row, or beside the test that is about it.

use std::collections::BTreeSet;

use super::{SECTIONS, published::Keys};
use crate::{accounts, keys, presets, providers, tokens};

/// Numbers, and a test that is about them.
type Test = (&'static [u8], fn());

/// Tests that are no rows, because they need a house or a provider of their own.
fn tests() -> Vec<Test> {
    vec![
        (&[8], presets::headers::a_header_that_nobody_configured_is_nothing),
        (&[10, 11, 98], super::what_is_no_http_is_no_request),
        (&[51, 52, 54, 57, 68], presets::wrong::the_wrong_token_of_every_provider_is_told_what_mends_it),
        (&[12, 13, 51], presets::wrong::what_is_no_signed_token_is_told_whose_it_may_be),
        (&[56], presets::tenants::a_tenant_is_let_in_by_its_own_issuer_its_own_id_and_a_key_that_signs_for_it),
        (&[58], providers::an_issuer_that_is_open_to_all_is_refused_without_bound_claims),
        (&[49, 60, 68, 74, 78], providers::tokens_are_held_to_what_their_provider_is_asked_for),
        (&[62], tokens::every_token_that_fits_is_taken),
        (&[67], keys::a_kept_token_is_found_again_and_ends_when_it_expires),
        (&[73], presets::wrong::nobody_asks_the_address_that_a_token_names_for_its_groups),
        (&[77], presets::names::nobody_is_called_as_a_user_of_clickhouse_is),
        (&[80], presets::names::a_token_without_the_scopes_that_are_asked_for_is_told_which),
        (&[81], keys::a_flood_of_unknown_keys_costs_one_fetch_and_hinders_nobody),
        (&[81, 82], super::provider::a_flood_of_unknown_keys_is_one_question_whether_the_provider_answers_or_not),
        (&[83], keys::a_new_key_is_taken_on_its_first_request),
        (&[83, 84], keys::a_certified_provider_and_a_real_clickhouse_work_together_through_rotations),
        (&[83, 84], super::provider::a_rotated_key_is_taken_at_once_and_a_dropped_one_ends),
        (&[84], keys::a_withdrawn_key_stops_even_a_token_that_was_kept),
        (&[85], keys::a_provider_that_fails_leaves_its_last_good_keys_in_service),
        (&[85], keys::keys_that_are_too_old_serve_nobody_until_the_provider_is_back),
        (&[85], super::provider::what_a_provider_answers_instead_of_keys_leaves_the_last_good_ones_in_service),
        (&[86], keys::a_provider_that_is_down_at_the_start_costs_only_its_own_callers),
        (&[86, 85], super::provider::a_provider_that_fails_from_the_start_is_waited_for),
        (&[87], keys::a_discovery_that_does_not_fit_is_told_and_gives_no_keys),
        (&[87], super::provider::a_provider_that_lies_about_itself_gives_no_keys),
        (&[9, 97], accounts::a_service_account_is_known_by_its_key_alone_and_within_its_bounds),
        (&[112], super::two_tokens_are_refused_even_where_one_may_stand_in_the_address),
    ]
}

/// Not here: 3 and 88 to 92 are about sessions and introspection, which Keyhouse has not; 70 about DPoP, which it refuses (69).
fn list() -> BTreeSet<u8> {
    (1..=87).filter(|number| ![3, 70].contains(number)).chain(95..=102).chain([112]).collect()
}

#[tokio::test]
async fn no_attack_of_the_list_is_without_a_row_or_a_test() {
    let keys = Keys::publish().await;
    let rows = SECTIONS.iter().flat_map(|section| section(&keys)).map(|case| case.attack);
    let covered: BTreeSet<u8> = rows.chain(tests().iter().flat_map(|(numbers, _)| numbers.iter().copied())).collect();
    let missing: Vec<u8> = list().difference(&covered).copied().collect();
    let unknown: Vec<u8> = covered.difference(&list()).copied().collect();
    assert_eq!((missing, unknown), (vec![], vec![]), "(missing, not of the list)");
}
