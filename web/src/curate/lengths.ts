/** How long a text is for each network, by the rules of src/pasquin/lengths.py, which explains them. A test compares both. */

import type { Network } from "./api";

const LINK_COST = 23;
const BLUESKY_BYTES = 3_000;
const TLD =
  "com|net|org|edu|gov|info|news|blog|app|dev|page|social|io|co|ai|am|be|de|es|eu|fm|fr|gd|gl|im|in|is|it|la|li|ly|me|nl|" +
  "ps|sh|so|st|to|tv|uk|us|vc|ws";
const WITH_SCHEME = String.raw`https?://[^\s<>"]*[^\s<>".,;:!?)'\]]`;
const WORD = String.raw`[\p{L}\p{N}\p{M}_]`;
const LINK = new RegExp(WITH_SCHEME, "giu");
const LINK_X = new RegExp(
  `${WITH_SCHEME}|(?<![\\p{L}\\p{N}\\p{M}_@.#$/-])(?:[a-z0-9][a-z0-9-]{0,62}\\.)+(?:${TLD})(?![\\p{L}\\p{N}\\p{M}_@-])` +
    String.raw`(?:/[^\s<>"]*[^\s<>".,;:!?)'\]])?`,
  "giu",
);
const MENTION = new RegExp(`(?<![\\p{L}\\p{N}\\p{M}_/])@(${WORD}+(?:[\\p{L}\\p{N}\\p{M}_.-]*${WORD})?)@[\\p{L}\\p{N}\\p{M}_.-]*${WORD}`, "gu");
const EMOJI = /\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f|[0-9#*]\ufe0f?\u20e3|\p{RI}\p{RI}/u;
const LIGHT = [
  [0, 4351],
  [8192, 8205],
  [8208, 8223],
  [8242, 8247],
] as const;
const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });

export function graphemes(text: string): number {
  let count = 0;
  for (const _ of segmenter.segment(text)) count += 1;
  return count;
}

function without(pattern: RegExp, text: string): [string, number] {
  let found = 0;
  const rest = text.replace(pattern, () => {
    found += 1;
    return "";
  });
  return [rest, found];
}

function mastodonLength(text: string): number {
  const [rest, links] = without(LINK, text);
  return graphemes(rest.replace(MENTION, "@$1")) + links * LINK_COST;
}

function xLength(text: string): number {
  const [rest, links] = without(LINK_X, text.normalize("NFC"));
  let weight = links * LINK_COST;
  for (const { segment } of segmenter.segment(rest)) weight += EMOJI.test(segment) ? 2 : weightOf(segment);
  return weight;
}

function weightOf(segment: string): number {
  let weight = 0;
  for (const letter of segment) {
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
  const length = network.name === "mastodon" ? mastodonLength(text) : xLength(text);
  return { length, fits: length <= network.limit };
}

export const NETWORK_NAMES: Record<Network["name"], string> = { bluesky: "Bluesky", mastodon: "Mastodon", x: "X" };
