//! What a store promises, told once and held against both of them.
//!
//! A promise is a function that is given a [`House`](house::House): a fresh, empty store, and nodes that share it. The bad days
//! that only Postgres can have, and the manners of an SQLite file, have files of their own.

// In a test program nothing is reachable from outside, and what fails may fail on the spot.
#![allow(unreachable_pub, clippy::unwrap_used)]

mod accounts;
mod amending;
mod archive;
mod bad_days;
mod exports;
mod forgetting;
mod house;
mod lone_file;
mod model;
mod numbering;
mod plans;
mod reading;
mod settings;
mod tasks;
mod webhooks;

macro_rules! promises {
    ($($chapter:ident { $($promise:ident)* })*) => {
        mod postgres {
            use crate::house::House;
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    crate::$chapter::$promise(House::postgres()).await;
                }
            )*)*
        }

        mod sqlite {
            use crate::house::House;
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    crate::$chapter::$promise(House::sqlite()).await;
                }
            )*)*
        }
    };
}

promises! {
    numbering {
        messages_are_numbered_from_one_in_the_order_of_the_batch
        each_room_counts_for_itself
        the_answer_is_what_is_kept
        every_character_comes_back
        a_message_sent_again_is_known_by_its_first_number_whoever_sends_it
        a_retry_is_known_by_its_first_words_even_after_an_edit
        an_id_that_names_other_words_is_taken
        only_what_is_new_takes_numbers
        an_empty_batch_is_nothing
        many_writers_on_several_nodes_leave_no_gap_and_keep_each_id_once
        a_cancelled_append_happened_whole_or_not_at_all
    }
    amending {
        an_edit_takes_the_next_number_and_leaves_the_place
        a_deletion_leaves_only_the_place
        a_change_that_alters_nothing_takes_no_number
        only_its_author_may_change_a_message
        what_is_not_there_cannot_be_changed
        the_changes_of_one_batch_follow_each_other
        edits_and_messages_race_without_a_gap
    }
    reading {
        what_changed_after_a_number_is_what_survived_and_the_head
        pages_follow_each_other_until_there_is_no_more
        the_newest_changes_say_where_they_begin
        history_is_read_backwards_and_shown_forwards
        a_room_without_a_word_is_empty_at_zero
        heads_come_in_the_order_asked
        a_position_from_the_future_is_answered_with_the_head
        a_reader_beside_writers_never_sees_a_hole
    }
    settings {
        of_many_who_rotate_the_epoch_one_succeeds
        all_nodes_agree_on_a_secret_and_keep_it
        a_commit_waits_for_the_disk
        every_series_exists_from_the_start
    }
    archive {
        rooms_are_told_in_the_order_of_their_bytes
        records_come_by_place_or_by_change
        a_room_is_the_same_in_another_store
        ids_are_known_by_their_first_words_in_another_store
        only_the_epoch_that_was_meant_ends
        a_room_with_something_else_is_left_as_it_is
        numbers_are_kept_free_for_what_is_still_to_come
        what_went_on_stays_and_what_is_newer_comes
        as_many_records_as_one_likes_go_at_once
    }
    accounts {
        a_name_is_given_once
        of_many_who_want_a_name_one_gets_it
        many_names_are_looked_up_at_once
        accounts_are_listed_by_their_names
        a_grant_lets_its_bearer_be_the_account
        a_grant_that_is_not_used_expires
        revoking_ends_one_or_all_but_one
        whoever_is_disabled_loses_all_and_gets_nothing
        another_password_ends_all_but_the_session_that_asked
        who_is_admin_no_more_loses_what_says_so
        nothing_slips_in_while_an_account_is_disabled
        what_was_revoked_after_a_moment_is_told
        what_ended_long_ago_is_forgotten
    }
    forgetting {
        what_is_at_or_below_the_floor_is_read_no_more
        a_position_below_the_floor_is_told_so
        the_floor_is_there_before_the_first_row_is_gone
        an_old_message_that_changed_lately_is_gone_too
        an_emptied_room_numbers_on
        an_id_is_known_after_its_message_is_gone
        what_is_gone_cannot_be_changed
        the_floor_never_falls_and_never_passes_the_head
        a_policy_is_kept_until_another_comes
        what_is_due_by_number_is_all_but_the_newest
        what_is_due_by_age_is_found_a_batch_at_a_time
        writers_and_readers_go_on_while_a_room_forgets
        a_room_that_forgot_is_the_same_in_another_store
        what_is_gone_there_is_gone_here
    }
    exports {
        an_export_is_there_once_it_is_complete
        an_attempt_that_was_overtaken_writes_no_more
        a_room_is_exported_by_one_task_at_a_time
    }
    tasks {
        a_task_is_kept_as_it_was_added
        of_two_with_a_key_one_is_added_while_it_is_undone
        what_is_due_comes_the_oldest_first_and_only_of_the_kinds_asked_for
        of_many_who_claim_one_gets_it
        what_a_silent_worker_left_is_due_again
        a_lease_that_is_extended_holds
        what_is_done_is_gone_or_remembered
        a_claim_that_was_lost_changes_nothing
        a_failure_is_due_later_and_counts
        what_is_given_back_does_not_count
        a_dead_letter_is_listed_sent_again_or_dropped
        lists_come_in_pages
        tasks_are_counted_by_kind
        a_slot_yields_one_task_whoever_asks
        what_is_old_is_swept
    }
    webhooks {
        a_webhook_is_kept_changed_and_forgotten
        webhooks_are_listed_by_room_in_pages
        a_message_causes_a_task_for_each_webhook_that_wants_it
        what_is_known_already_causes_nothing_more
        edits_and_deletions_cause_their_own
        a_disabled_webhook_hears_nothing
        many_rooms_in_one_batch_tell_their_own
        a_batch_that_fails_causes_nothing
    }
    model {
        any_sequence_of_calls_ends_where_a_plain_model_ends
    }
}
