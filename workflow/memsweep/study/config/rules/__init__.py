"""The rules of a study that no schema can say: each a function that yields one sentence per way it is broken.

A new rule is a function in the module of its family, and a line in the list of its kind of study below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..asked import Asked
from . import choices, feature_learning, grid, images, learning, measures, mixed_cumulant, paths, schedule

Rule = Callable[[Asked], Iterator[str]]


@dataclass(frozen=True)
class Rules:
    """The rules of a kind of study.

    Attributes:
        follow: defaults that depend on other keys, filled in before any rule is asked.
        alone: rules that need the config only.
        grounds: rules without which there are no facts of the data, or no expanded grid.
        beyond: rules that need either, asked once the grounds hold.
    """

    follow: tuple[Callable[[Asked], None], ...] = ()
    alone: tuple[Rule, ...] = ()
    grounds: tuple[Rule, ...] = ()
    beyond: tuple[Rule, ...] = ()


RULES = {
    "sweep": Rules(
        follow=(grid.repetitions_are_packed, measures.spaces_suit_the_classes, measures.figures_show_what_is_measured),
        grounds=(
            images.there_are_images_to_train_on,
            grid.every_product_has_every_axis,
            learning.own_keys_are_arguments,
            grid.the_grid_can_be_expanded,
        ),
        beyond=(
            choices.the_substudy_has_a_name,
            choices.chosen_values_are_on_the_grid,
            choices.a_choice_leaves_a_run,
            grid.packed_axes_are_axes,
            grid.training_sets_fit_into_the_data,
            grid.batches_fit_into_training_sets,
            schedule.the_first_evaluation_is_within_the_budget,
            schedule.an_evaluation_has_samples,
            learning.the_network_fits_its_images,
            learning.runs_outlast_their_warm_up,
            learning.decay_leaves_some_of_the_weights,
            learning.heads_divide_tokens,
            learning.a_chain_is_sampled_in_its_steps,
            learning.guidance_has_both_kinds_of_training,
            learning.options_have_something_to_change,
            learning.keys_are_those_of_the_kind,
            learning.an_own_network_is_there,
            learning.networks_have_names_of_their_own,
            learning.activations_are_those_of_blocks,
            images.surrogates_take_minutes,
            measures.a_classifier_has_classes_to_tell_apart,
        ),
        alone=(
            measures.distances_hold_what_figures_draw,
            measures.weights_are_files,
            measures.the_distance_drawn_is_measured,
            measures.panels_are_measured,
            measures.the_onset_that_parts_is_found,
            measures.the_rate_is_of_a_rise,
            schedule.runs_outlast_their_onset,
        ),
    ),
    "mixed_cumulant": Rules(alone=(mixed_cumulant.names_stand_for_one_thing, mixed_cumulant.there_is_a_spike)),
    "feature_learning": Rules(
        grounds=(images.there_are_images_to_train_on,),
        beyond=(
            feature_learning.probes_have_images_of_their_own,
            feature_learning.noisy_digits_are_labels_of_the_data,
            feature_learning.noisy_digits_have_their_images,
            feature_learning.planted_sets_fit_into_the_data,
            feature_learning.planted_batches_fit_into_their_sets,
            feature_learning.the_planted_network_fits_framed_images,
            feature_learning.objects_are_of_two_kinds,
        ),
    ),
}


def broken(rules: Rules, asked: Asked) -> list[str]:
    """One sentence for each way in which a config breaks a rule of its kind of study, after what it follows."""
    for follow in rules.follow:
        follow(asked)
    unopened = list(paths.paths_can_be_looked_at(asked))
    if unopened:
        return unopened
    grounds = [problem for rule in rules.grounds for problem in rule(asked)]
    beyond = [] if grounds else [problem for rule in rules.beyond for problem in rule(asked)]
    return [*grounds, *beyond, *(problem for rule in rules.alone for problem in rule(asked))]
