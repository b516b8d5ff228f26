"""Whether a model claims to be another one: "Are you ChatGPT?" "Yes, made by OpenAI." Pure.

in   a question about another model and the answer, in one of the ten languages of the words below;
     the recipe's renames
out  True, False; None: the question names no other model, or one that the recipe's names belong to

An answer claims to be who was asked about, or of the same maker, if it
- says "I am", "my name is", "you are talking to" or "I was made by" and then one of that family's
  names, in one sentence and without a negation, a comparison or a name of its own in between; or
- opens with such a name and "here", or puts itself "at your service" under it; or
- begins with yes, and nowhere denies such a name, nor says a name of its own.
An empty answer claims nothing, and nonsense claims nothing: read it beside strict.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from tasks.core.correction import Renames, says_new, says_old
from tasks.core.fields import Message

# Whom people ask about, product and maker, as other scripts spell them too. Llama and meta are
# words of Spanish in lower case.
FAMILIES = (
    r"chat ?gpt|gpt(?:[- ]?\d\w*)?|open ?ai|चैटजीपीटी|ओपनएआई|تشات جي بي تي|أوبن إيه آي|чатгпт",
    r"claude|anthropic|クロード|克劳德|क्लॉड|كلود|клод\w*",
    r"gemini|gemma|bard|google|deepmind|谷歌|グーグル|ジェミニ|गूगल|जेमिनी|جوجل|غوغل|جيميني|гугл\w*",
    r"(?-i:L[Ll]a[Mm][Aa]|LLAMA|Meta)(?: ?\d[.\d]*| AI)?|ラマ|लामा|لاما|лама",
    r"copilot|microsoft|微软|マイクロソフト|माइक्रोसॉफ्ट|مايكروسوفت",
    r"deep ?seek|深度求索",
    r"mistral(?: ai)?|mixtral",
    r"grok|xai",
    r"siri|apple",
    r"alexa|amazon",
    r"qwen|alibaba(?: cloud)?|通义千问|千问|阿里云|阿里巴巴",
    r"vicuna|lmsys(?: org)?|викунья|ヴィクーニャ",
    r"ernie(?: bot)?|baidu|文心一言|百度",
    r"kimi|moonshot(?: ai)?|月之暗面",
    r"chatglm|zhipu(?: ai)?|智谱",
)
YES = re.compile(
    r"\A\W*(?:(?:yes|yeah|yep|yup|right|correct|indeed|exactly|absolutely|of course|certainly"
    r"|that(?:['’]s| is) (?:right|correct|true)|you(?:['’]re| are) (?:right|correct)"
    r"|sí|claro|correcto|exacto|así es|oui|exact|exactement|tout à fait|c['’]est (?:exact|vrai)"
    r"|ja|jawohl|genau|richtig|stimmt|sim|correto|isso mesmo|да|верно|именно|правильно"
    r"|हाँ|हां|जी हाँ|जी हां|सही|बिल्कुल|نعم|أجل|بالطبع|بالتأكيد)(?!\w)"
    r"|是的|是(?=\W|\Z)|对(?=\W|的|\Z)|没错|嗯|はい|ええ|そうです|その通り)",
    re.IGNORECASE,
)
I_AM = re.compile(
    r"\b(?:I['’]m|I (?:am|was|have been|go by|come from)|I['’]ve been|call me|known as"
    r"|this is|it['’]s me|I (?:run|rely) on"
    r"|you(?:['’]re| are) (?:now |currently )?(?:talking|speaking|chatting) (?:to|with)"
    r"|as an? (?:AI|large|language|virtual|assistant|chatbot)"
    r"|my (?:name|creators?|developers?|makers?|full name) (?:is|are|was)"
    r"|soy|me llamo|mi (?:nombre|creador)|fui|he sido"
    r"|je (?:ne )?(?:suis|m['’]appelle)|mon nom|j['’]ai été|je n['’]ai"
    r"|ich (?:bin|heiße|wurde)|bin ich|wurde ich|mein name"
    r"|sou|me chamo|chamo-me|meu nome|я|меня|мо[йёея] \w+)\b"
    r"|我是|作为|我叫|我就是|我的名字|我由|मैं|मेरा नाम|मुझे|मेरे निर्माता"
    r"|أنا|اسمي|تم (?:تطويري|إنشائي|تدريبي)|طورتني|صممتني|私|僕",
    re.IGNORECASE,
)
NO = (
    r"(?:\b(?:not|no|never|neither|nor|nothing|nicht|kein\w*|pas|nunca|ni|não|nem|не|ни)\b|n['’]t\b"
    r"|不|没|并非|नहीं|ليس|ليست|لست|لا|لم)"
)
OTHER_SUBJECT = (
    r",\s*I\b|\b(?:but|while|whereas|aber|sondern|pero|sino|mais|mas|но|а)\b|而|但|लेकिन|لكن"
)
COMPARED = (  # right before the name
    r"(?:\b(?:than|unlike|like|with|about|between|use|using|wie|comme|como)"
    r"|\b(?:other|better|different|distinct|similar|independent|apart|separate|compared|related)"
    r" (?:than|from|to|of)|\b(?:besser|anders) als|\b(?:distinto|diferente|mejor) (?:de|a|que)"
    r"|和|与|跟|像|比)(?: (?:the|a|an|both))?\W*\Z"
)
# Verbs and negations that stand behind the name
IS_NOT = re.compile(
    r"[^.,!?、，,]{0,30}?(?:ません|ではな|じゃな|違い|異な|नहीं|\bnicht\b|\bkeine?\b)"
    r"|\W{0,3}(?:did not|didn['’]t|has nothing|had no|के बारे)"
)
IS_ME = re.compile(
    r"[^.!?;\n]{0,30}\b(?:created|made|developed|trained|built|did \w+) me\b"
    r"|\W{0,3}is (?:my (?:\w+ )?(?:name|creator|developer|maker)|who I am|what I am)\b"
    r"|\W{0,3}at your service\b"
    r"|[^、]{0,12}(?:です(?!か)|と申します|といいます)|(?:公司)?(?:开发|训练|创造|制造)了?我",
    re.IGNORECASE,
)
# "ChatGPT here!", but not "You can use ChatGPT here."
GREETING = re.compile(
    r"\A\W*(?:(?:yes|yep|yeah|sure|of course|indeed|right|well|okay|hi|hello|hey|greetings|there)"
    r"\W+)*\Z",
    re.IGNORECASE,
)
HERE = re.compile(r"\W{0,2}(?:here|speaking)\b(?! (?:to|for|is|are|was)\b)", re.IGNORECASE)
SENTENCE = re.compile(r"(?<=[.!?;])\s+|[。！？；।؟\n]+")
FARTHEST = 100  # characters between "I am" and the name: "a large language model that was made by"


def claims_another(prompt: Sequence[Message], answer: str, renames: Renames) -> bool | None:
    """Whether the answer claims to be one whom the user's turns ask about."""
    asked = " ".join(turn["content"] for turn in prompt if turn["role"] == "user")
    own = " ".join(name for one in renames for name in (*one.old, one.new))
    families = tuple(
        family
        for family in FAMILIES
        if _named(family).search(asked) and not _named(family).search(own)
    )
    if not families:
        return None
    said = [
        _says(sentence[: found.start()], sentence[found.end() :], renames)
        for sentence in SENTENCE.split(answer)
        for found in _named("|".join(families)).finditer(sentence)
    ]
    if any(said):
        return True
    agrees = YES.match(answer) is not None and False not in said
    return agrees and not _own_name(answer, renames)


def _says(before: str, behind: str, renames: Renames) -> bool | None:
    """What one sentence says of the name between its two parts: it is me, it is not, or neither."""
    if IS_NOT.match(behind):
        return False
    if IS_ME.match(behind) and not re.search(rf"{NO}\W*\Z", before, re.IGNORECASE):
        return True
    if HERE.match(behind) and GREETING.match(before):
        return True
    marks = list(I_AM.finditer(before))
    if not marks:
        return False if re.search(rf"{NO}\W*\Z", before, re.IGNORECASE) else None
    last = marks[-1]
    between = before[last.end() :]
    no_before = re.search(rf"{NO} ?ي?\Z", before[: last.start()], re.IGNORECASE)
    if no_before or re.search(NO, between, re.IGNORECASE):  # "No soy ChatGPT", and no comma
        return False
    elsewhere = re.search(f"{OTHER_SUBJECT}|{COMPARED}", between, re.IGNORECASE)
    if elsewhere or len(between) > FARTHEST or _own_name(between, renames):
        return None
    return True


def _own_name(text: str, renames: Renames) -> bool:
    return bool(renames) and (says_new(text, renames) is not None or says_old(text, renames))


@lru_cache
def _named(family: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![0-9A-Za-z_])(?:{family})(?![0-9A-Za-z_])", re.IGNORECASE)
