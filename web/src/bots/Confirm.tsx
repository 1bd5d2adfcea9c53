import type { ReactNode } from "react";

import { Dialog } from "../game/Dialog";
import { Button } from "../ui/buttons";

type Props = {
  opened: boolean;
  title: string;
  yes: string;
  busy: boolean;
  error: Error | null;
  onYes: () => void;
  onNo: () => void;
  children: ReactNode;
};

/** Asks before something that others notice. */
export function Confirm({ opened, title, yes, busy, error, onYes, onNo, children }: Props) {
  return (
    <Dialog opened={opened} onClose={onNo} title={title}>
      <div className="confirm">
        <div>{children}</div>
        {error && (
          <p className="problem" role="alert">
            {error.message}
          </p>
        )}
        <div className="row">
          <Button onClick={onYes} busy={busy}>
            {yes}
          </Button>
          <Button look="outlined" onClick={onNo}>
            Cancel
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
