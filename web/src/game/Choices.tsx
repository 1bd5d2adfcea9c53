import type { Origin } from "../api";
import { useWords } from "../i18n";
import { PlainButton } from "../ui/buttons";
import { HumanIcon, ModelIcon } from "./icons";

type Props = { disabled: boolean; pending: Origin | undefined; onGuess: (origin: Origin) => void };

/** The two answers. They stay focusable while a guess is on its way, so that the focus is not lost. */
export function Choices({ disabled, pending, onGuess }: Props) {
  const t = useWords();
  return (
    <div className="choices">
      <PlainButton
        className="choice choice-human"
        data-pending={pending === "human" || undefined}
        aria-disabled={disabled}
        aria-keyshortcuts="H ArrowLeft"
        onClick={() => onGuess("human")}
      >
        <HumanIcon size={22} />
        <span>{t("human")}</span>
        <kbd aria-hidden="true">H</kbd>
      </PlainButton>
      <PlainButton
        className="choice choice-model"
        data-pending={pending === "model" || undefined}
        aria-disabled={disabled}
        aria-keyshortcuts="A ArrowRight"
        onClick={() => onGuess("model")}
      >
        <ModelIcon size={22} />
        <span>{t("ai")}</span>
        <kbd aria-hidden="true">A</kbd>
      </PlainButton>
      <p className="hint soft small" aria-hidden="true">
        <span className="hint-keys">
          <kbd>←</kbd> {t("hint_left")} · {t("ai")} <kbd>→</kbd>
        </span>
        <span className="hint-swipe">{t("hint_swipe")}</span>
      </p>
    </div>
  );
}
