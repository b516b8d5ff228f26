"""All expectations of pairs. Importing this file makes a Great Expectations project know them.

out  EXPECTATIONS: name of a check -> its class, in the order of a report
"""

from expectations.answers_not_empty import ExpectAnswersNotEmpty
from expectations.chosen_to_differ_from_rejected import ExpectChosenToDifferFromRejected
from expectations.coat import PairsExpectation
from expectations.diverse_prompts_and_answers import ExpectDiversePromptsAndAnswers
from expectations.few_duplicates import ExpectFewDuplicates
from expectations.few_near_copies_between_splits import ExpectFewNearCopiesBetweenSplits
from expectations.identity_slots_to_explain_every_difference import (
    ExpectIdentitySlotsToExplainEveryDifference,
)
from expectations.languages_as_in_reference import ExpectLanguagesAsInReference
from expectations.length_not_to_decide import ExpectLengthNotToDecide
from expectations.lengths_as_in_reference import ExpectLengthsAsInReference
from expectations.no_access_token import ExpectNoAccessToken
from expectations.no_contact_details import ExpectNoContactDetails
from expectations.no_contradiction import ExpectNoContradiction
from expectations.no_frequent_two_sided_feature import ExpectNoFrequentTwoSidedFeature
from expectations.no_length_bias import ExpectNoLengthBias
from expectations.no_near_perfect_feature import ExpectNoNearPerfectFeature
from expectations.no_old_name_in_system_prompt import ExpectNoOldNameInSystemPrompt
from expectations.no_one_sided_feature import ExpectNoOneSidedFeature
from expectations.no_placeholder_left import ExpectNoPlaceholderLeft
from expectations.no_prompt_in_two_splits import ExpectNoPromptInTwoSplits
from expectations.no_role_marker_in_answers import ExpectNoRoleMarkerInAnswers
from expectations.no_special_token_in_answers import ExpectNoSpecialTokenInAnswers
from expectations.no_weak_one_sided_feature import ExpectNoWeakOneSidedFeature
from expectations.one_language_a_row import ExpectOneLanguageARow
from expectations.one_prompt_a_pair import ExpectOnePromptAPair
from expectations.prompt_to_be_token_prefix import ExpectPromptToBeTokenPrefix
from expectations.roles_to_alternate import ExpectRolesToAlternate
from expectations.rows_to_become_pairs import ExpectRowsToBecomePairs
from expectations.same_white_space_around_answers import ExpectSameWhiteSpaceAroundAnswers
from expectations.scores_to_agree import ExpectScoresToAgree
from expectations.tokens_within_limit import ExpectTokensWithinLimit
from expectations.words_not_to_tell_chosen_apart import ExpectWordsNotToTellChosenApart

EXPECTATIONS: dict[str, type[PairsExpectation]] = {
    expectation.measure.check: expectation
    for expectation in (
        ExpectRowsToBecomePairs,
        ExpectRolesToAlternate,
        ExpectOnePromptAPair,
        ExpectAnswersNotEmpty,
        ExpectChosenToDifferFromRejected,
        ExpectSameWhiteSpaceAroundAnswers,
        ExpectNoContradiction,
        ExpectFewDuplicates,
        ExpectScoresToAgree,
        ExpectNoSpecialTokenInAnswers,
        ExpectNoRoleMarkerInAnswers,
        ExpectNoPlaceholderLeft,
        ExpectNoAccessToken,
        ExpectNoContactDetails,
        ExpectOneLanguageARow,
        ExpectLanguagesAsInReference,
        ExpectDiversePromptsAndAnswers,
        ExpectNoOldNameInSystemPrompt,
        ExpectTokensWithinLimit,
        ExpectPromptToBeTokenPrefix,
        ExpectIdentitySlotsToExplainEveryDifference,
        ExpectNoOneSidedFeature,
        ExpectNoNearPerfectFeature,
        ExpectNoFrequentTwoSidedFeature,
        ExpectNoWeakOneSidedFeature,
        ExpectWordsNotToTellChosenApart,
        ExpectLengthNotToDecide,
        ExpectNoLengthBias,
        ExpectLengthsAsInReference,
        ExpectNoPromptInTwoSplits,
        ExpectFewNearCopiesBetweenSplits,
    )
}
