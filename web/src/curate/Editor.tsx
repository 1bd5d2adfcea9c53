import { type KeyboardEvent, useEffect, useRef, useState } from "react";

import { Button } from "../ui/buttons";
import type { Candidate, Network } from "./api";
import { Counters } from "./Counters";

const LONGEST = 3_000;

type Props = { candidate: Candidate; networks: Network[]; onSave: (text: string) => void; onCancel: () => void };

/** Changing a candidate's words. The original is kept, and the result is marked as edited. */
export function Editor({ candidate, networks, onSave, onCancel }: Props) {
  const [text, setText] = useState(candidate.text);
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    box.current?.focus();
    box.current?.setSelectionRange(candidate.text.length, candidate.text.length);
  }, [candidate.text]);
  const save = () => text.trim() && onSave(text);
  const pressed = (event: KeyboardEvent) => {
    if (event.key === "Escape") onCancel();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
    else return;
    event.preventDefault();
  };
  return (
    <div className="card editor">
      <label className="editor-label" htmlFor="edited">
        Your words
      </label>
      <textarea
        id="edited"
        ref={box}
        dir="auto"
        value={text}
        maxLength={LONGEST}
        rows={6}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={pressed}
      />
      <Counters networks={networks} text={text} />
      {text !== candidate.text && (
        <p className="soft small original">
          <span>Original:</span> <bdi>{candidate.text}</bdi>
        </p>
      )}
      <div className="editor-buttons">
        <Button onClick={save} disabled={!text.trim()}>
          Accept this&nbsp;<kbd>Ctrl Enter</kbd>
        </Button>
        <Button look="outlined" onClick={onCancel}>
          Cancel&nbsp;<kbd>Esc</kbd>
        </Button>
      </div>
    </div>
  );
}
