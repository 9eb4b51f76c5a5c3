//! For every row of the two tables of the photo design: the tests that hold it. Whoever changes a row finds here what
//! has to change with it; a row whose test goes has to name another.
//!
//! The first table says when a photo goes and how far, the second what happens when something is not as it should be;
//! then the cases of the trusted time. Rules are tested in `policy-schema/tests/rules`, what the tablet does with files in
//! `agent/src/photos`, what the register makes of a file in `server/src/domain`, and the product in `tests/tests/product`.

use super::sources;

type Row = (&'static str, &'static [&'static str]);

const CAUSES: [Row; 15] = [
    (
        "a confirmed child's consent withdrawn: sealed at sync, destroyed 3 opening days later",
        &[
            "a_withdrawn_consent_seals_at_sync_and_destroys_three_opening_days_later",
            "what_is_dated_to_the_end_of_a_day_counts_from_when_it_was_written_on_that_day",
            "a_no_or_a_blank_in_place_of_a_yes_leaves_a_withdrawals_days_to_object",
            "a_withdrawn_consent_withholds_and_seals_at_once_and_destroys_three_opening_days_later",
            "a_withdrawn_consent_seals_the_photos_of_that_child_and_no_others",
            "a_sealed_photo_is_destroyed_after_its_grace_with_a_receipt_that_verifies",
        ],
    ),
    (
        "consent expired: at valid_until, offline too, destroyed 3 opening days later",
        &[
            "an_expired_consent_removes_at_the_end_of_its_last_day_also_offline",
            "a_consent_that_expires_takes_its_photo_without_a_server",
            "a_consent_that_expired_while_the_tablet_was_off_takes_its_photo_at_the_next_start",
            "a_tablet_without_network_holds_to_an_expiry_and_tells_when_it_is_back",
        ],
    ),
    (
        "a confirmed child has no usable consent: at once, destroyed 3 opening days later",
        &[
            "a_confirmed_child_who_never_agreed_seals_at_once",
            "children_with_nothing_in_common_leave_a_photo_no_use",
            "confirmed_children_with_no_use_in_common_seal_at_once_whoever_else_may_be_in_it",
        ],
    ),
    (
        "a possible child has none: withheld at once, sealed after 7 opening days, destroyed 7 days later",
        &[
            "a_possible_child_who_never_agreed_withholds_at_once_and_seals_after_seven_opening_days",
            "what_a_possible_child_takes_away_leaves_the_days_to_say_who_is_in_it",
            "what_a_possible_child_takes_away_late_counts_from_then",
        ],
    ),
    (
        "restriction set by the DSL: at once, take-down tasks, destroyed on the DSL's word",
        &[
            "a_restriction_seals_at_once_and_destroys_on_the_dsls_word_only",
            "a_restriction_that_leaves_no_use_is_undone_or_carried_out_by_the_dsl_alone",
            "a_restriction_is_set_and_lifted_by_the_dsl_alone_and_survives_every_file",
            "a_late_tag_and_a_restriction_take_down_too",
        ],
    ),
    (
        "child left: leave date + 14 days, destroyed 7 days later",
        &[
            "a_leavers_photo_goes_fourteen_days_after_leaving",
            "a_leaver_whose_consents_ended_is_out_of_use_but_not_gone_before_the_pack",
            "a_leaver_named_late_has_the_days_too",
            "a_possible_child_who_left_leaves_the_photo_to_those_who_are_in_it",
        ],
    ),
    (
        "child died: every deletion, reminder and letter stops",
        &[
            "no_letter_goes_to_the_parents_of_a_child_who_died",
            "a_death_leads_to_no_seal_and_no_destruction_and_opens_nothing",
            "a_photo_in_use_stays_in_use_whatever_time_brings",
            "what_the_child_s_own_withdrawal_sealed_stays_sealed_and_is_not_destroyed",
            "a_child_who_died_is_the_subject_of_no_reminder",
        ],
    ),
    (
        "untagged: reminders on days 1, 3 and 6, sealed after 7 opening days, destroyed 7 days later",
        &[
            "photos_nobody_sorted_are_put_before_somebody_on_the_first_third_and_sixth_opening_day",
            "an_untagged_photo_is_sealed_after_seven_opening_days",
            "a_photo_tagged_complete_with_nobody_named_is_untagged",
            "the_end_says_how_many_are_left_and_what_becomes_of_them",
        ],
    ),
    (
        "uploaded and confirmed, 24 hours; maximum age, 28 days; destroyed 24 hours later",
        &[
            "an_uploaded_photo_goes_after_24_hours_and_any_photo_after_28_days",
            "a_photo_lasts_as_long_as_its_longest_usable_purpose",
            "losing_the_purpose_that_still_kept_a_photo_gives_the_withdrawals_days_to_object",
        ],
    ),
    (
        "consent lease over or doubtful clock: withheld, camera off, never sealed for it; the first sync restores",
        &[
            "without_the_server_for_seven_opening_days_photos_are_withheld_and_the_first_contact_restores",
            "a_clock_in_doubt_withholds_and_neither_seals_by_time_nor_destroys",
            "a_reason_that_only_a_clock_gives_seals_nothing_while_the_clock_is_in_doubt",
            "what_no_date_would_bring_back_is_sealed_also_while_the_clock_is_in_doubt",
            "capture_is_suspended_in_doubt_without_space_and_when_the_lease_is_over",
            "a_doubtful_clock_or_a_lease_that_is_over_closes_the_camera",
        ],
    ),
    (
        "tablet lost: withheld at once, camera off, locked, never sealed or destroyed for it, destroyed for nothing meanwhile; found restores",
        &[
            "on_a_lost_tablet_every_photo_is_withheld_and_none_is_sealed_or_destroyed_for_it",
            "what_another_reason_seals_is_sealed_on_a_lost_tablet_too_and_destroyed_only_once_it_is_found",
            "on_a_lost_tablet_no_photo_is_in_use_none_is_destroyed_and_found_undoes_just_that",
            "a_frozen_photo_stays_where_it_is_on_a_lost_tablet",
            "photos_of_a_lost_tablet_are_withheld_and_come_back_when_it_is_found",
            "where_the_profile_only_observes_the_loss_alone_moves_photos_and_only_those",
            "a_lost_tablet_stays_lost_without_the_command_across_restarts_and_asks_for_a_passcode",
            "only_a_later_found_ends_a_loss_and_a_loss_from_before_it_does_nothing_when_it_is_sent_again",
            "a_lost_tablet_is_locked_and_its_camera_off_whatever_the_profile_and_its_exceptions_say",
        ],
    ),
    (
        "found at enrolment: counted by month, nothing until a manager decides",
        &[
            "photos_found_at_enrolment_wait_for_a_manager",
            "what_was_there_before_enrolment_is_counted_by_month_and_left_alone",
            "found_photos_that_are_left_stay_counted",
            "found_photos_of_a_tablet_are_decided_on_by_the_manager_while_it_is_told_anything",
        ],
    ),
    (
        "all are settings of the profile with these defaults",
        &[
            "a_photo_waits_as_long_as_the_lifecycle_says_where_the_profile_says_nothing",
            "every_range_has_the_ends_that_its_message_names",
        ],
    ),
    (
        "nothing is destroyed on a closed day, or without a hold list of the last 24 hours",
        &[
            "nothing_is_destroyed_on_a_closed_day_or_with_a_stale_hold_list",
            "nothing_is_destroyed_without_a_fresh_hold_list_or_with_a_doubtful_clock",
            "a_closure_that_never_ends_is_refused_because_destruction_waits_for_opening_days",
        ],
    ),
    (
        "the DSL is told of each withdrawal; an open subject access request pauses destruction",
        &[
            "the_dsl_hears_of_a_withdrawal_once",
            "under_a_hold_that_does_not_freeze_a_photo_goes_out_of_use_is_sealed_and_never_destroyed",
        ],
    ),
];

const INCIDENTS: [Row; 15] = [
    (
        "an import that would change a lot stops with its counts",
        &[
            "large_changes_stop_the_import_with_their_counts",
            "what_concerns_one_child_alone_stops_no_import",
            "a_withdrawal_would_seal_every_photo_that_shows_the_child_and_no_other",
            "what_would_change_much_waits_until_a_person_imports_it",
            "a_register_that_is_wrong_is_refused_whole_and_the_old_one_stays_live",
        ],
    ),
    (
        "a new mapping asks what Yes means and shows three children",
        &["a_new_mapping_stops_until_a_person_agreed_to_what_it_reads"],
    ),
    (
        "a child missing from the file: 72 hours, no new capture, then withheld",
        &[
            "a_child_missing_from_the_file_withholds_after_72_hours_and_no_more",
            "a_child_missing_from_the_file_is_marked_and_comes_back",
            "a_child_who_goes_missing_after_a_withdrawal_stays_withdrawn",
            "the_camera_leaves_out_whoever_is_restricted_unanswered_missing_or_unknown",
        ],
    ),
    (
        "two children of one name: by the reference only; siblings offered at a withdrawal",
        &[
            "two_children_of_one_name_are_two_children",
            "references_that_differ_only_in_letters_are_refused",
            "a_withdrawal_names_the_siblings_and_reaches_them_only_when_told",
        ],
    ),
    (
        "an odd word or date: that row is refused and listed; an unknown value means not given",
        &[
            "a_value_we_do_not_know_is_not_given_and_is_listed",
            "a_row_that_cannot_be_read_takes_consent_away_and_gives_none",
            "a_row_that_was_refused_permits_nothing_that_was_not_permitted",
        ],
    ),
    (
        "consent comes back before destruction, or after: then we say so",
        &[
            "consent_that_comes_back_restores",
            "an_unsealed_photo_is_back_as_it_was",
            "a_consent_given_again_brings_its_sealed_photo_back_and_only_that_one",
            "a_consent_that_comes_back_says_what_can_be_used_again_and_what_is_gone",
        ],
    ),
    (
        "a hold arrives in the middle of a batch: stop",
        &[
            "a_hold_in_the_middle_of_destruction_stops_it_and_receipts_show_what_went",
            "a_freeze_that_arrives_in_the_middle_of_a_batch_stops_the_rest",
            "a_hold_that_arrives_while_the_power_is_off_saves_what_is_still_whole",
            "under_a_hold_a_photo_in_use_is_sealed_as_ever_and_destroyed_once_it_is_released",
        ],
    ),
    (
        "power cut in the middle: the journal replays",
        &[
            "the_power_may_go_at_any_durable_write_and_every_one_is_known",
            "a_killed_process_leaves_nothing_half_done",
            "no_kill_leaves_a_photo_half_withheld_half_sealed_or_half_destroyed",
        ],
    ),
    (
        "file locked, read-only, immutable: retried, told, no receipt",
        &[
            "a_photo_that_cannot_be_moved_is_told_of_once_and_goes_without_a_receipt_before_it_has",
            "photos_on_a_file_system_that_became_read_only_are_told_of_and_go_once_it_is_writable",
            "a_photo_on_a_device_that_fails_stays_withheld_and_is_sealed_once_it_can_be_read",
            "a_tablet_that_cannot_put_photos_away_for_a_day_is_looked_at",
        ],
    ),
    (
        "a late tag adds a child who refused: evaluated again, take-down task",
        &[
            "the_days_to_object_run_from_the_day_a_child_who_refused_long_ago_was_named",
            "a_late_name_is_added_and_one_that_was_said_is_not_taken_back",
            "a_late_tag_and_a_restriction_take_down_too",
        ],
    ),
    (
        "disk full: camera off, nothing deleted early, sealing still works",
        &[
            "with_hardly_any_space_the_camera_goes_off_which_is_told_once_and_comes_back_with_twice_as_much",
            "capture_is_suspended_in_doubt_without_space_and_when_the_lease_is_over",
            "on_a_full_disk_photos_are_sealed_in_the_room_that_was_set_aside_which_is_taken_again",
            "what_is_larger_than_the_room_that_was_set_aside_leaves_it_to_others",
            "a_photo_that_finds_no_room_to_be_sealed_stays_withheld_and_whole_until_there_is",
            "on_a_full_disk_a_photo_still_goes_out_of_use_and_only_what_needs_space_waits",
            "with_its_reserve_a_ledger_that_records_does_not_grow",
        ],
    ),
    (
        "agent killed, downgraded, removed: started again; what it withheld stays closed",
        &[
            "the_units_start_by_themselves_and_none_has_failed",
            "a_ledger_of_a_newer_agent_is_left_alone",
            "purging_leaves_withheld_photos_where_nobody_can_open_them",
        ],
    ),
    (
        "backup restored on the tablet: what was destroyed does not come back",
        &[
            "a_copy_that_turns_up_later_goes_the_same_way_at_once",
            "a_tablet_whose_record_was_put_back_goes_on_from_the_servers_and_loses_nothing",
            "a_tablet_whose_record_is_lost_keeps_no_photo_that_nobody_accounts_for",
            "what_a_lost_record_left_in_a_vault_stays_there_and_is_told_of",
        ],
    ),
    (
        "the server's database rolled back: the lower generation is refused, events are sent again",
        &[
            "a_server_put_back_to_an_earlier_day_loosens_nothing_and_gets_its_events_again",
            "a_withdrawal_after_the_server_was_put_back_reaches_the_tablet_and_none_before_it_is_lost",
            "a_server_that_went_back_is_refused_and_told_once",
            "after_a_rolled_back_database_generations_go_on_above_the_signers_mark",
        ],
    ),
    (
        "illegal content: nothing is sealed, scanned, touched or opened",
        &[
            "illegal_content_freezes_whatever_else_is_held",
            "a_freezing_hold_on_the_tablet_leaves_even_new_files_unread",
            "a_frozen_file_is_not_opened",
            "a_freeze_is_opened_by_nobody",
            "a_frozen_photo_is_neither_shown_nor_sent_and_a_request_ends",
        ],
    ),
];

const TRUSTED_TIME: [Row; 7] = [
    (
        "the server's signed time plus the boot clock",
        &[
            "before_the_first_contact_time_is_doubtful",
            "contact_ends_the_doubt_and_sets_the_time",
            "within_one_boot_the_wall_clock_changes_nothing",
        ],
    ),
    (
        "after a restart never before the last time seen",
        &["a_weekend_off_is_no_reason_for_doubt"],
    ),
    (
        "set back: ignored, and told",
        &[
            "a_clock_set_back_is_ignored_and_told",
            "a_clock_a_little_behind_is_drift",
        ],
    ),
    (
        "ahead with no server to confirm: in doubt until the next contact",
        &[
            "a_clock_far_ahead_is_in_doubt_until_the_next_contact",
            "a_doubt_outlives_another_restart",
        ],
    ),
    (
        "ahead: withheld, never destroyed",
        &[
            "a_clock_in_doubt_destroys_nothing_and_seals_nothing_by_time",
            "a_photo_taken_while_the_clock_ran_ahead_is_withheld_once_it_is_right_again",
            "nothing_is_unsealed_under_a_freeze_or_while_the_clock_is_in_doubt",
        ],
    ),
    (
        "whoever delays an answer moves no clock",
        &[
            "an_answer_held_back_does_not_hold_the_clock_back",
            "an_answer_that_hung_does_not_push_a_good_clock_ahead",
            "an_old_answer_or_one_by_another_key_confirms_nothing",
        ],
    ),
    (
        "local days where clocks change, read the stricter way",
        &[
            "a_day_whose_midnight_does_not_exist_ends_early_and_begins_late",
            "a_day_whose_midnight_comes_twice_ends_at_the_first_and_begins_at_the_second",
            "an_overdue_destruction_is_looked_at_again_after_a_midnight_that_was_skipped",
        ],
    ),
];

#[test]
fn every_row_of_the_photo_design_is_held_by_tests_that_exist() {
    let sources = sources(&["policy-schema/", "agent/", "server/", "tests/tests/"]);
    let is_there = |test: &str| {
        let begins = format!("fn {test}(");
        let is_test = |text: &str| {
            text.match_indices(&begins).any(|(at, _)| {
                let before: Vec<&str> = text[..at].lines().rev().take(4).collect();
                before.iter().any(|line| line.trim().starts_with("#[t"))
            })
        };
        sources.iter().any(|source| is_test(&source.text))
    };
    let rows = CAUSES.iter().chain(&INCIDENTS).chain(&TRUSTED_TIME);
    let missing: Vec<String> = rows
        .flat_map(|(row, tests)| tests.iter().map(move |test| (row, test)))
        .filter(|(_, test)| !is_there(test))
        .map(|(row, test)| format!("{row}: {test}"))
        .collect();
    assert!(missing.is_empty(), "no such test: {missing:#?}");
}
