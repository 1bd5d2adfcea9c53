import type { Reveal, Sources, Trial } from "../api";
import { useWords } from "../i18n";
import { PlainButton } from "../ui/buttons";
import { HumanIcon } from "./icons";
import { PostCard } from "./PostCard";

type Props = {
  trials: [Trial | undefined, Trial | undefined];
  reveal: Reveal | undefined;
  picked: string | undefined;
  slow: boolean;
  onPick: (trial: string) => void;
};

/** Two cards side by side, one of each origin: which is human? */
export function Pair({ trials, reveal, picked, slow, onPick }: Props) {
  const t = useWords();
  return (
    <div className="pair">
      {trials.map((trial, at) => (
        <div key={at} className="pair-side" data-picked={(picked !== undefined && picked === trial?.id) || undefined}>
          <PostCard
            trial={trial}
            reveal={trial && reveal ? sources(reveal, trial) : undefined}
            guessed={undefined}
            slow={slow && at === 0}
            label={t(at ? "right_card" : "left")}
            focused={at === 0}
          />
          {!reveal && (
            <PlainButton
              className="choice choice-human"
              data-pending={(picked !== undefined && picked === trial?.id) || undefined}
              aria-disabled={!trial || picked !== undefined}
              aria-keyshortcuts={at ? "ArrowRight" : "ArrowLeft"}
              onClick={() => trial && onPick(trial.id)}
            >
              <HumanIcon size={22} />
              <span>{t("this_human")}</span>
              <kbd aria-hidden="true">{at ? "→" : "←"}</kbd>
            </PlainButton>
          )}
        </div>
      ))}
    </div>
  );
}

/** What one of the two was: the guessed one is the reveal itself, the other its counterpart. */
function sources(reveal: Reveal, trial: Trial): Sources {
  if (reveal.trial === trial.id) return reveal;
  return {
    origin: reveal.origin === "human" ? "model" : "human",
    human: reveal.other?.human ?? null,
    model: reveal.other?.model ?? null,
  };
}
