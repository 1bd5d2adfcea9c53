import { type ReactNode, useEffect, useId, useRef } from "react";

import { useWords } from "../i18n";
import { IconButton } from "../ui/buttons";
import { CloseIcon } from "./icons";

type Props = { opened: boolean; onClose: () => void; title: string; children: ReactNode };

/** The browser's own modal dialogue: it keeps the focus inside, closes on Escape and gives the focus back. */
export function Dialog({ opened, onClose, title, children }: Props) {
  const t = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const name = useId();
  useEffect(() => {
    if (opened && !dialog.current?.open) dialog.current?.showModal();
    if (!opened) dialog.current?.close();
  }, [opened]);
  return (
    <dialog
      ref={dialog}
      className="dialog"
      aria-labelledby={name}
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div className="dialog-inside">
        <div className="dialog-head">
          <h2 id={name}>{title}</h2>
          <IconButton aria-label={t("close")} onClick={onClose}>
            <CloseIcon />
          </IconButton>
        </div>
        {opened && children}
      </div>
    </dialog>
  );
}
