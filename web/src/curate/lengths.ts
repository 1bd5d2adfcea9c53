/**
 * How long a text is for each network, by the rules that its publisher counts by (src/pasquin/lengths/__init__.py,
 * links.py and x_weight.py beside it, which explain them). A test compares both.
 */

import type { Network } from "./api";

const LINK_STAND_IN = "x".repeat(23);
const BLUESKY_BYTES = 3_000;
const TLDS =
  "com|org|net|io|co|ai|app|dev|edu|gov|info|me|ly|gg|tv|uk|de|fr|it|es|eu|us|ca|au|jp|in|br|ru|ch|nl|se|no|pl|be|at|" +
  "xyz|social|blog|news|link|online|site|tech|cloud|page|wiki|club|shop|live|world|art|bio|biz|mobi|name|pro|tel";
const LINK = new RegExp(
  String.raw`(?<![\p{L}\p{N}@＠#＃_.\-])(?:https?://[^\s<>"“”«»]+[^\s<>"“”«».,;:!?)\]'’]|` +
    String.raw`(?:[\p{L}\p{N}](?:[\p{L}\p{N}\-]{0,61}[\p{L}\p{N}])?\.)+(?:${TLDS})(?![\p{L}\p{N}_\-])(?:/[^\s]*)?)`,
  "giu",
);
const EMOJI = new RegExp(
  String.raw`\p{Regional_Indicator}{2}|[0-9#*]\uFE0F?\u20E3|[©®]\uFE0F?|` +
    String.raw`(?:\p{Emoji_Presentation}\uFE0F?|(?![0-9#*])\p{Emoji}\uFE0F|\p{Emoji_Modifier_Base})\p{Emoji_Modifier}?` +
    String.raw`(?:[\u{E0020}-\u{E007E}]+\u{E007F})?` +
    String.raw`(?:\u200D(?:\p{Extended_Pictographic}|\p{Emoji_Presentation})\uFE0F?\p{Emoji_Modifier}?)*`,
  "gu",
);
const LIGHT = [
  [0, 4351],
  [8192, 8205],
  [8208, 8223],
  [8242, 8247],
] as const;
const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });

function graphemes(text: string): number {
  let count = 0;
  for (const _ of segmenter.segment(text)) count += 1;
  return count;
}

function xWeight(text: string): number {
  let weight = 0;
  const plain = text
    .normalize("NFC")
    .replace(LINK, LINK_STAND_IN)
    .replace(EMOJI, () => {
      weight += 2;
      return "";
    });
  for (const letter of plain) {
    const code = letter.codePointAt(0) ?? 0;
    weight += LIGHT.some(([first, last]) => first <= code && code <= last) ? 1 : 2;
  }
  return weight;
}

export type Length = { length: number; fits: boolean };

export function lengthFor(network: Network, text: string): Length {
  if (network.name === "bluesky") {
    const length = graphemes(text);
    return { length, fits: length <= network.limit && new TextEncoder().encode(text).length <= BLUESKY_BYTES };
  }
  const length = network.name === "mastodon" ? graphemes(text.replace(LINK, LINK_STAND_IN)) : xWeight(text);
  return { length, fits: length <= network.limit };
}
