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
