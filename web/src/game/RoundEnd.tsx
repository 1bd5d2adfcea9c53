import { useState } from "react";

import type { Day } from "../api";
import { useWords } from "../i18n";
import { Button } from "../ui/buttons";

/** One square a card, as people paste them: green right, red wrong, grey not played. */
export function squares(results: (boolean | null)[]): string {
  return results.map((right) => (right === null ? "⬜" : right ? "🟩" : "🟥")).join("");
}

/** The end of a daily round: the ten as squares, and the result to share. */
export function DailyEnd({ day, category }: { day: Day; category: string }) {
  const t = useWords();
  const played = day.results.filter((right) => right !== null);
  const right = played.filter(Boolean).length;
  const line = t("share_text", { day: day.day, right, total: played.length });
  return (
    <>
      <p className="squares" role="img" aria-label={t("daily_result", { right, total: played.length })}>
        {day.results.map((result, at) => (
          <i key={at} className={`square ${result === null ? "" : result ? "dot-right" : "dot-wrong"}`} />
        ))}
      </p>
      <p>
        <strong>{t("daily_result", { right, total: played.length })}</strong> {t("daily_next")}{" "}
        {day.results.includes(null) && t("daily_grey")}
      </p>
      <Share line={line} squares={squares(day.results)} category={category} results={day.results} />
    </>
  );
}

type ShareProps = { line: string; squares?: string; category: string; results?: (boolean | null)[] };

/** The result as a line to paste and as a picture; neither says what any card was. */
export function Share({ line, squares: row, category, results }: ShareProps) {
  const t = useWords();
  const [done, setDone] = useState(false);
  const [shown, setShown] = useState(false);
  const text = [line, row, window.location.origin].filter(Boolean).join("\n");
  const share = async () => {
    try {
      if (navigator.share && matchMedia("(pointer: coarse)").matches) await navigator.share({ text });
      else await navigator.clipboard.writeText(text);
      setDone(true);
    } catch (error) {
      // Where the browser gives no clipboard (plain http), the text is shown to be copied by hand.
      if (!(error instanceof DOMException && error.name === "AbortError")) setShown(true);
    }
  };
  const picture = async () => (await import("./picture")).savePicture(line, category, results ?? []);
  return (
    <div className="share">
      <Button onClick={() => void share()}>{done ? t("copied") : t("share")}</Button>
      <Button look="outlined" onClick={() => void picture()}>
        {t("share_image")}
      </Button>
      {shown && <textarea className="share-text" readOnly rows={3} value={text} aria-label={t("share")} />}
      <span className="visually-hidden" role="status">
        {done ? t("copied") : ""}
      </span>
    </div>
  );
}
