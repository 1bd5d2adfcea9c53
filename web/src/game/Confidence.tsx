import type { Confidence as Level } from "../api";
import { useWords } from "../i18n";
import { PlainButton } from "../ui/buttons";

type Props = { value: Level | null; onChange: (value: Level | null) => void };

/** How sure the player is, if they like to say: pressed before the guess, and never needed. */
export function Confidence({ value, onChange }: Props) {
  const t = useWords();
  return (
    <div className="sureness" role="group" aria-label={t("how_sure")}>
      {(["unsure", "sure"] as const).map((level) => (
        <PlainButton
          key={level}
          className="chip"
          aria-pressed={value === level}
          aria-keyshortcuts={level === "sure" ? "S" : "U"}
          onClick={() => onChange(value === level ? null : level)}
        >
          {t(level)}
        </PlainButton>
      ))}
    </div>
  );
}
