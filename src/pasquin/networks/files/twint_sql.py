"""twint's JSON lines as DuckDB reads them: the same posts as `twint.read_line` makes, for lines of the plain shape.

Every value arrives as text, a number as its digits. `PLAIN` excludes what the Python function treats in a way of its
own: anything but a text where a text should be, names with spaces, times in rare zones, texts that only Python can tell
to be empty.
"""

from __future__ import annotations

from typing import Final

_TEXTS: Final = (
    "tweet", "link", "conversation_id", "user_id", "username", "created_at", "date", "time", "timezone", "language",
    "retweet", "likes_count", "retweets_count",
)  # fmt: skip
KEYS: Final = dict.fromkeys(_TEXTS, "VARCHAR") | {
    "reply_to": "STRUCT(user_id VARCHAR, id VARCHAR, username VARCHAR, screen_name VARCHAR)[]"
}

_MOST_BYTES: Final = 1_000_000
_NO_TEXTS: Final = ("true", "false", "inf", "Infinity", "nan", "NaN")
"""What a JSON value that is no text looks like as text, beside what begins with a digit, a minus or a bracket."""


def _is_text(value: str) -> str:
    """That a value is none of these; not with IN, which DuckDB may turn into a join, and a join loses the order."""
    return "(" + " AND ".join(f"{value} <> '{word}'" for word in _NO_TEXTS) + ")"


_NAME: Final = "[A-Za-z_][A-Za-z0-9_]*"
_MILLISECONDS_FROM: Final = 100_000_000_000
_MILLISECONDS_TO: Final = 4_000_000_000_000
"""From here on Python's floating point no longer gives the exact microsecond."""

_USUAL_LINK: Final = "https://twitter.com/", "/status/"
"""What stands around the author's name in nearly every link: compared, which costs a third of a pattern."""
ID: Final = rf"""CASE WHEN starts_with(link, concat('{_USUAL_LINK[0]}', username, '{_USUAL_LINK[1]}'))
    THEN substr(link, {1 + sum(map(len, _USUAL_LINK))} + strlen(username))
    ELSE regexp_extract(link, '^https?://(?:www\.|mobile\.)?(?:twitter|x)\.com/\w+/status/([0-9]+)$', 1) END"""
"""Whether it is made of digits is for `PLAIN` to say, and so with the moment."""
MOMENT: Final = "try_cast(created_at AS BIGINT)"
_OFFSET: Final = """CASE
    WHEN timezone IN ('UTC', 'GMT') THEN 0 WHEN timezone = 'EDT' THEN -240 WHEN timezone IN ('EST', 'CDT') THEN -300
    WHEN timezone IN ('CST', 'MDT') THEN -360 WHEN timezone IN ('MST', 'PDT') THEN -420 WHEN timezone = 'PST' THEN -480
    WHEN regexp_full_match(timezone, '[+-][0-9]{4}') THEN
        (CASE WHEN timezone[1] = '-' THEN -1 ELSE 1 END) * (timezone[2:3]::INTEGER * 60 + timezone[4:5]::INTEGER)
    END"""
_LOCAL: Final = """CASE
    WHEN regexp_full_match(date, '(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}')
        AND regexp_full_match(time, '(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]')
    THEN try_strptime(date || ' ' || time, '%Y-%m-%d %H:%M:%S') END"""
_CREATED_AT: Final = f"""CASE
    WHEN moment NOT BETWEEN 0 AND {_MILLISECONDS_TO - 1} OR strlen(created_at) > 13 THEN NULL
    WHEN moment >= {_MILLISECONDS_FROM} THEN make_timestamp(moment * 1000)
    WHEN moment IS NOT NULL THEN make_timestamp(moment * 1000000)
    WHEN created_at IS NULL OR NOT regexp_matches(created_at, '^(?:[-\\[{{]|[0-9]+[.eE]|[0-9]+$|true$|false$)')
    THEN {_LOCAL} - to_minutes({_OFFSET}) END"""
_OTHER_ID: Final = "coalesce(other.user_id, other.id)"
_OTHER_NAME: Final = "coalesce(other.username, other.screen_name)"
_ANSWERS_OTHERS: Final = (
    f"len(list_filter(reply_to, lambda other: {_OTHER_ID} <> user_id AND {_OTHER_NAME} IS DISTINCT FROM username)) > 0"
)
_BEGINS: Final = (("a", "{"), ("@", "["), ("!", "-"), (".", "/"))
"""What most texts begin with, from and below: letters, @, and what comes before a minus or is a full stop."""
_TEXT_IS_PLAIN: Final = rf"""CASE
    WHEN {" OR ".join(f"(tweet >= '{low}' AND tweet < '{high}')" for low, high in _BEGINS)}
    THEN {_is_text("tweet")} AND (NOT starts_with(tweet, 'RT @') OR regexp_matches(tweet, '^RT @[A-Za-z0-9_]'))
    ELSE (ascii(tweet) BETWEEN 161 AND 5759 OR ascii(tweet) > 12288 OR regexp_matches(tweet, '[!-~]'))
        AND ascii(tweet) <> 91 AND ascii(tweet) <> 123
        AND NOT regexp_full_match(tweet, '-?[0-9][0-9.eE+-]*') AND tweet <> '-inf' AND tweet <> '-Infinity'
    END AND strlen(tweet) <= {_MOST_BYTES} AND NOT contains(tweet, chr(0))"""
_REPLIES_ARE_PLAIN: Final = rf"""CASE
    WHEN reply_to IS NULL OR len(reply_to) = 0 THEN true
    WHEN len(reply_to) = 1 AND reply_to[1].user_id = user_id AND reply_to[1].username = username THEN true
    ELSE len(list_filter(reply_to, lambda other:
    NOT coalesce(regexp_full_match({_OTHER_ID} || ' ' || coalesce({_OTHER_NAME}, ''), '[1-9][0-9]{{0,18}} (?:{_NAME})?')
        AND coalesce({_OTHER_NAME} <> '' AND {_OTHER_NAME} <> 'true' AND {_OTHER_NAME} <> 'false', true),
    false))) = 0 END"""
_REST: Final = (
    "concat(user_id, ' ', username, ' c', conversation_id, ' g', language, ' r', retweet, ' l', likes_count, "
    "' r', retweets_count, ' i', id, ' m', CASE WHEN moment IS NOT NULL THEN created_at END)"
)
_REST_IS_PLAIN: Final = (
    f"'[0-9]+ {_NAME} c[0-9]* g(?:[A-Za-z][A-Za-z-]*)? r(?:true|false)? l[0-9]* r[0-9]* i[1-9][0-9]* m[0-9]*'"
)

PREPARE: Final = f"SELECT *, {ID} AS id, {MOMENT} AS moment, {_CREATED_AT} AS published"
"""What is worked out first of the values read, as both of the following use it."""

SELECT: Final = f"""
    'https://x.com/i/status/' || id AS uri,
    'x' AS network,
    user_id AS account,
    username AS handle,
    tweet AS text,
    published AS created_at,
    language AS lang,
    CASE WHEN conversation_id <> id THEN
        CASE WHEN {_ANSWERS_OTHERS} THEN 'https://x.com/i/status/' || conversation_id END END AS reply_to,
    coalesce(retweet = 'true', false) OR starts_with(tweet, 'RT @') AS is_repost,
    try_cast(likes_count AS BIGINT) AS likes,
    try_cast(retweets_count AS BIGINT) AS reposts,
    link AS url,
    'unknown' AS rights"""

PLAIN: Final = f"""
    {_TEXT_IS_PLAIN}
    AND regexp_full_match({_REST}, {_REST_IS_PLAIN}) AND {_is_text("username")}
    AND strlen(id) < 20 AND strlen(user_id) < 20 AND user_id IS NOT NULL AND username IS NOT NULL
    AND coalesce(strlen(conversation_id) BETWEEN 1 AND 19, true)
    AND coalesce(strlen(language) BETWEEN 1 AND 20 AND {_is_text("language")}, true)
    AND coalesce(retweet <> '', true)
    AND coalesce(strlen(likes_count) BETWEEN 1 AND 18, true) AND coalesce(strlen(retweets_count) BETWEEN 1 AND 18, true)
    AND published IS NOT NULL
    AND {_REPLIES_ARE_PLAIN}"""
