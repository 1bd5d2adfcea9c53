import type { Mode } from "../api";
import { type Key, useWords } from "../i18n";
import { PlainButton } from "../ui/buttons";
import { MODES } from "./chosen";

type Props = { mode: Mode; daily: boolean; onMode: (mode: Mode) => void };

/** The ways to play, one chosen, with a word on what it is. */
export function ModeBar({ mode, daily, onMode }: Props) {
  const t = useWords();
  return (
    <nav className="modes" aria-label={t("modes")}>
      <div className="modes-row">
        {MODES.map((each) => (
          <PlainButton
            key={each}
            className="mode"
            aria-pressed={each === mode}
            aria-disabled={each === "daily" && !daily}
            title={each === "daily" && !daily ? t("no_daily") : undefined}
            onClick={() => (each !== "daily" || daily) && onMode(each)}
          >
            {t(`mode_${each}` as Key)}
          </PlainButton>
        ))}
      </div>
      <p className="mode-note soft">{t(`mode_${mode}_note` as Key)}</p>
    </nav>
  );
}
