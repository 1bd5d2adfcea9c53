import { Fragment } from "react";

import type { Span } from "./api";

const PARTS = /(https?:\/\/\S+|[#@][\p{L}\p{N}_][\p{L}\p{N}\p{M}_.-]*)/gu;

/** A text as networks show it: tags, mentions and links tinted. Always text, never markup. */
export function PostText({ text }: { text: string }) {
  return text.split(PARTS).map((part, place) =>
    place % 2 ? (
      <span key={place} className="tinted">
        {part}
      </span>
    ) : (
      <Fragment key={place}>{part}</Fragment>
    ),
  );
}

/** A text with a run of it (code points, end exclusive) highlighted. */
export function Marked({ text, run }: { text: string; run: Span | undefined }) {
  if (!run) return text;
  const letters = [...text];
  return (
    <>
      {letters.slice(0, run.begin).join("")}
      <mark>{letters.slice(run.begin, run.end).join("")}</mark>
      {letters.slice(run.end).join("")}
    </>
  );
}
