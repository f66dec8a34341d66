//! What people are promised, told once and held against a lone node and against two that share Postgres and Redis.

// In a test program nothing is reachable from outside, and what fails may fail on the spot.
#![allow(unreachable_pub, clippy::unwrap_used)]

mod bad_days;
mod grants;
mod guests;
mod house;
mod signing_in;

macro_rules! promises {
    ($($chapter:ident { $($promise:ident)* })*) => {
        mod alone {
            use crate::house::House;
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    crate::$chapter::$promise(House::alone().await).await;
                }
            )*)*
        }

        mod two {
            use crate::house::House;
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    crate::$chapter::$promise(House::two().await).await;
                }
            )*)*
        }
    };
}

promises! {
    signing_in {
        whoever_signed_up_is_known_everywhere
        a_wrong_password_and_an_unknown_name_are_the_same
        a_name_belongs_to_one
        a_password_is_looked_at_before_it_is_taken
        only_so_many_guesses_at_a_name
        only_so_many_tries_from_an_address
        another_password_ends_what_the_old_one_began
        where_admins_make_accounts_nobody_else_does
    }
    grants {
        a_key_is_good_until_it_is_revoked
        a_session_lives_as_long_as_it_is_used
        whoever_is_connected_keeps_a_session_alive
        what_ends_is_told_to_whoever_is_connected_by_it
        whoever_is_disabled_is_out
        a_token_is_worth_what_was_made_here
        sessions_are_told_with_where_they_come_from
    }
    guests {
        a_guest_comes_back_by_a_token
        a_guest_cannot_have_an_accounts_name
        many_guests_are_looked_up_together
        where_guests_are_not_let_in_accounts_are
    }
}
