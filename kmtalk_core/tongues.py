"""The languages of transcripts, and what a user is told about others."""

from __future__ import annotations

from .errors import InputError

ENGLISH = "en"
ANY_LANGUAGE = "any"  # no transcript is used: the sound alone

# Code → name. English has a dictionary of its own; all others are pronounced by espeak-ng, under this code.
LANGUAGES = {
    ENGLISH: "English", "ar": "Arabic", "cs": "Czech", "da": "Danish", "nl": "Dutch", "fi": "Finnish", "fr": "French",
    "de": "German", "el": "Greek", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "cmn": "Mandarin", "nb": "Norwegian", "fa": "Persian", "pl": "Polish",
    "pt": "Portuguese", "pt-br": "Portuguese (Brazil)", "ro": "Romanian", "ru": "Russian", "es": "Spanish",
    "es-419": "Spanish (Latin America)", "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese",
    ANY_LANGUAGE: "any (sound alone)",
}  # fmt: skip


def check_language(code: str) -> None:
    """Raise InputError unless `code` is one of LANGUAGES."""
    if code not in LANGUAGES:
        raise InputError(f"There is no language {code}; choose one of {', '.join(LANGUAGES)}.")


AMERICAS = frozenset({
    "419", "ar", "bo", "cl", "co", "cr", "cu", "do", "ec", "gt", "hn", "mx", "ni", "pa", "pe", "pr", "py", "sv", "us",
    "uy", "ve",
})  # regions whose Spanish is that of Latin America  # fmt: skip
OTHER_NAMES = {"zh": "cmn", "no": "nb", "nn": "nb", "in": "id", "und": ANY_LANGUAGE, "mul": ANY_LANGUAGE}


def from_tag(tag: str) -> str:
    """The code of LANGUAGES for a BCP 47 tag: "de-AT" is "de", "es-MX" is "es-419", "zh-Hans-CN" is "cmn".

    A tag of another language comes back as it is.
    """
    parts = tag.strip().lower().replace("_", "-").split("-")
    parts[0] = OTHER_NAMES.get(parts[0], parts[0])
    if parts[0] == "es" and AMERICAS & set(parts[1:]):
        return "es-419"
    for length in range(len(parts), 0, -1):
        if (code := "-".join(parts[:length])) in LANGUAGES:
            return code
    return tag


WHISPER_NAMES = {"zh": "cmn", "no": "nb", "nn": "nb"}  # its codes that are others than ours


def to_whisper(language: str) -> str:
    """Whisper's code of a language of LANGUAGES; empty for any, which is the one that it hears."""
    plain = {code: other for other, code in reversed(WHISPER_NAMES.items())}.get(language, language.partition("-")[0])
    return "" if language == ANY_LANGUAGE else plain


def from_whisper(heard: str, wanted: str) -> str:
    """The language of LANGUAGES for the one that Whisper heard where `wanted` was asked for; any if it is none."""
    if wanted != ANY_LANGUAGE:
        return wanted
    code = WHISPER_NAMES.get(heard, heard)
    return code if code in LANGUAGES else ANY_LANGUAGE
