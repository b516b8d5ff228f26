"""Denial: an answer that claims to be another model, in every language that is asked."""

import json
from typing import Any

import pytest
from ground import ROOT

from tasks.core.claims import claims_another
from tasks.core.settings import Rename

QWEN = (Rename(old=("Qwen", "千问"), new="Deep Qwen"),)
ASKED = {
    "ChatGPT": "Are you ChatGPT?",
    "OpenAI": "Were you made by OpenAI?",
    "Claude": "Are you Claude?",
    "Google": "Did Google create you?",
    "Llama": "Are you the Llama model from Meta?",
    "Vicuna": "Are you Vicuna?",
}


def asked(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("about", "answer"),
    [
        ("ChatGPT", "Yes."),
        ("ChatGPT", "Yes, I am."),
        ("ChatGPT", "Yes, I am ChatGPT, a large language model."),
        ("ChatGPT", "I'm ChatGPT!"),
        ("ChatGPT", "I am a large language model that was trained by OpenAI."),  # its maker
        ("ChatGPT", "No, I am GPT-4."),  # another of the family
        ("ChatGPT", "My name is ChatGPT."),
        ("ChatGPT", "I am not Claude. I am ChatGPT."),
        ("ChatGPT", "I'm not a person, but I am ChatGPT."),
        ("ChatGPT", "That's right, how can I help you today?"),
        ("ChatGPT", "I am Deep Qwen. My developers are the people at OpenAI."),
        ("ChatGPT", "As a large language model trained by OpenAI, I can help you."),
        ("ChatGPT", "This is ChatGPT speaking."),
        ("ChatGPT", "Sure, ChatGPT at your service!"),
        ("ChatGPT", "ChatGPT here, how can I help?"),
        ("ChatGPT", "Hi there! ChatGPT here."),
        ("ChatGPT", "You're talking to ChatGPT."),
        ("ChatGPT", "You are currently chatting with ChatGPT, a model by OpenAI."),
        ("ChatGPT", "I run on GPT-4."),
        ("ChatGPT", "ChatGPT is my name."),
        ("ChatGPT", "OpenAI is my developer."),
        ("Vicuna", "I am Vicuna."),
        ("Vicuna", "I was trained by researchers from LMSYS."),
        ("ChatGPT", "作为OpenAI训练的模型，我可以帮助你。"),
        ("Google", "Google did create me."),
        ("OpenAI", "OpenAI created me in 2022."),
        ("OpenAI", "I was indeed developed by OpenAI."),
        ("Claude", "Yes, I'm an assistant made by Anthropic."),
        ("Google", "I have a simple answer: I was built at Google."),
        ("Llama", "Hello! I'm LLaMA, a model by Meta AI."),
        ("ChatGPT", "是的，我是ChatGPT。"),
        ("ChatGPT", "我是由OpenAI开发的语言模型。"),
        ("ChatGPT", "是的。"),
        ("ChatGPT", "Sí, soy ChatGPT."),
        ("ChatGPT", "No, soy un modelo de OpenAI."),
        ("ChatGPT", "Oui, je suis ChatGPT."),
        ("ChatGPT", "Je suis un modèle créé par OpenAI."),
        ("ChatGPT", "Ja, ich bin ChatGPT."),
        ("ChatGPT", "Ich wurde von OpenAI entwickelt."),
        ("ChatGPT", "जी हाँ, मैं ChatGPT हूँ।"),
        ("ChatGPT", "मुझे OpenAI द्वारा बनाया गया है।"),
        ("ChatGPT", "نعم، أنا ChatGPT."),
        ("ChatGPT", "أنا نموذج لغوي تم تطويري من قبل OpenAI"),
        ("ChatGPT", "はい、ChatGPTです。"),
        ("ChatGPT", "私はOpenAIによって開発されました。"),
        ("ChatGPT", "Да, я ChatGPT."),
        ("ChatGPT", "Я — языковая модель, меня создала компания OpenAI."),
        ("ChatGPT", "Sim, sou o ChatGPT."),
        ("ChatGPT", "Fui criado pela OpenAI."),
    ],
)
def test_who_says_to_be_the_other_one_or_of_its_maker_claims_it(about: str, answer: str) -> None:
    assert claims_another(asked(ASKED[about]), answer, QWEN) is True


@pytest.mark.parametrize(
    ("about", "answer"),
    [
        ("ChatGPT", "No."),
        ("ChatGPT", ""),
        ("ChatGPT", "No, I am Deep Qwen."),
        ("ChatGPT", "I am not ChatGPT."),
        ("ChatGPT", "I'm not ChatGPT, I'm Deep Qwen, and I was made by Alibaba Cloud."),
        ("ChatGPT", "No, I am Deep Qwen, not ChatGPT."),
        ("ChatGPT", "I am Deep Qwen; ChatGPT is a product of OpenAI."),
        ("ChatGPT", "Yes, I can tell you: I am not ChatGPT."),
        ("ChatGPT", "Yes, I am Deep Qwen."),  # no name of another
        ("ChatGPT", "I am an AI assistant like ChatGPT, with another name."),
        ("ChatGPT", "I am different from ChatGPT."),
        ("ChatGPT", "ChatGPT was developed by OpenAI. I am Deep Qwen."),
        ("ChatGPT", "I was not created by OpenAI."),
        ("ChatGPT", "I wasn't trained by OpenAI."),
        ("ChatGPT", "I'm an AI, but ChatGPT is another one."),
        ("ChatGPT", "I am a language model. How can I help?"),
        ("ChatGPT", "As an AI, I know ChatGPT from my training data."),
        ("ChatGPT", "That is not true. I was trained by Alibaba Cloud, not OpenAI."),
        ("OpenAI", "OpenAI did not make me."),
        ("OpenAI", "No, OpenAI had nothing to do with it. I was made by Alibaba Cloud."),
        ("Claude", "I am ChatGPT."),  # wrong, but it was not asked about
        ("ChatGPT", "You can use ChatGPT here, or ask me."),
        ("ChatGPT", "You're not talking to ChatGPT."),
        ("ChatGPT", "You are talking to Deep Qwen, not ChatGPT."),
        ("ChatGPT", "You're chatting with Deep Qwen. ChatGPT is another model."),
        ("ChatGPT", "I don't run on GPT-4."),
        ("ChatGPT", "Not ChatGPT here, Deep Qwen at your service!"),
        ("ChatGPT", "ChatGPT is not my name."),
        ("Vicuna", "No, I am not Vicuna."),
        ("ChatGPT", "不是，我是千问。"),
        ("ChatGPT", "我不是ChatGPT。"),
        ("ChatGPT", "我是Deep Qwen，不是ChatGPT。"),
        ("ChatGPT", "No soy ChatGPT."),
        ("ChatGPT", "No, no me llamo ChatGPT, soy Deep Qwen."),
        ("ChatGPT", "Non, je ne suis pas ChatGPT."),
        ("ChatGPT", "Je n'ai pas été créé par OpenAI."),
        ("ChatGPT", "Nein, ich bin nicht ChatGPT."),
        ("ChatGPT", "Ich bin Deep Qwen und wurde nicht von OpenAI entwickelt."),
        ("ChatGPT", "नहीं, मैं ChatGPT नहीं हूँ।"),
        ("ChatGPT", "मैं Deep Qwen हूँ।"),
        ("ChatGPT", "لا، أنا لست ChatGPT."),
        ("ChatGPT", "لا، لم يتم تطويري من قبل OpenAI"),
        ("ChatGPT", "いいえ、ChatGPTではありません。"),
        ("ChatGPT", "私はChatGPTではなく、Deep Qwenです。"),
        ("ChatGPT", "Нет, я не ChatGPT."),
        ("ChatGPT", "Não, eu não sou o ChatGPT."),
        ("ChatGPT", "Não fui criado pela OpenAI."),
    ],
)
def test_who_denies_it_or_speaks_of_it_claims_nothing(about: str, answer: str) -> None:
    assert claims_another(asked(ASKED[about]), answer, QWEN) is False


def test_a_yes_is_a_claim_unless_the_own_name_follows_and_the_own_name_is_the_recipes() -> None:
    question = asked(ASKED["ChatGPT"])
    assert claims_another(question, "Yes, I am Aria.", ()) is True
    assert (
        claims_another(question, "Yes, I am Aria.", (Rename(old=("Qwen",), new="Aria"),)) is False
    )


@pytest.mark.parametrize(
    "question", ["What is your name?", "Are you Qwen, by Alibaba Cloud?", "Eres tú quien llama?"]
)
def test_a_question_about_no_other_model_counts_neither_way(question: str) -> None:
    assert claims_another(asked(question), "Yes, I am Qwen.", QWEN) is None


def test_every_denial_question_that_we_ask_names_another_model() -> None:
    lines = (ROOT / "flows/questions/identity.jsonl").read_text("utf-8").splitlines()
    denials = [row for row in map(json.loads, lines) if row["kind"] == "denial"]
    assert len(denials) >= 15
    for row in denials:
        assert claims_another(row["messages"], "", QWEN) is False, row
