//! What holds for every hosts file and every registry, tried on random ones.

mod generator;
mod laws;
mod oracle;

use generator::input;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_second_pass_does_nothing(input in input()) {
        laws::a_second_pass_does_nothing(&input);
    }

    #[test]
    fn the_lines_with_the_prefix_tell_what_changes(input in input()) {
        laws::the_lines_with_the_prefix_tell_what_changes(&input);
    }

    #[test]
    fn only_owned_names_and_their_addresses_change(input in input()) {
        laws::only_owned_names_and_their_addresses_change(&input);
    }

    #[test]
    fn a_wanted_name_has_one_line_and_its_address(input in input()) {
        laws::a_wanted_name_has_one_line_and_its_address(&input);
    }

    #[test]
    fn every_name_resolves_as_predicted(input in input()) {
        laws::every_name_resolves_as_predicted(&input);
    }

    #[test]
    fn prune_alone_decides_over_names_that_the_registry_lacks(input in input()) {
        laws::prune_alone_decides_over_names_that_the_registry_lacks(&input);
    }

    #[test]
    fn the_diff_is_the_plan(input in input()) {
        laws::the_diff_is_the_plan(&input);
    }
}
