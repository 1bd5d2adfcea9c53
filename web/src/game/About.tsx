import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { api } from "../api";
import { Dialog } from "./Dialog";
import { Stored } from "./Stored";

type Props = { opened: boolean; onClose: () => void; started: boolean; onErased: () => void };

/** What this is, for whoever asks; and the button that erases what is stored. */
export function About({ opened, onClose, started, onErased }: Props) {
  return (
    <Dialog opened={opened} onClose={onClose} title="About this game">
      <div className="about">
        <p>
          A small language model has read posts by the people named here and writes imitations of them. Half of the
          cards are real posts, which the model has never read; half are its inventions. Both go through the same
          cleaning and have about the same length, so only the words can tell you.
        </p>
        <p>
          The AI’s texts are parody: nobody said them. After each guess you see who or what wrote the card, and for the
          AI the real post that comes closest.
        </p>
        <Stored />
        {started && <Erase onErased={onErased} />}
        <p className="soft small">
          Keys: <kbd>H</kbd> or <kbd>←</kbd> human, <kbd>A</kbd> or <kbd>→</kbd> AI, <kbd>Enter</kbd> next. On a touch
          screen, swipe the card.
        </p>
      </div>
    </Dialog>
  );
}

function Erase({ onErased }: { onErased: () => void }) {
  const [sure, setSure] = useState(false);
  const erase = useMutation({ mutationFn: api.erase, onSuccess: onErased });
  return (
    <div className="erase">
      {sure ? (
        <>
          <Button color="red" loading={erase.isPending} onClick={() => erase.mutate()}>
            Yes, erase everything
          </Button>
          <Button variant="default" onClick={() => setSure(false)}>
            Keep it
          </Button>
        </>
      ) : (
        <Button variant="default" onClick={() => setSure(true)}>
          Erase my data
        </Button>
      )}
      {erase.isError && (
        <p className="problem" role="alert">
          {erase.error.message}
        </p>
      )}
    </div>
  );
}
