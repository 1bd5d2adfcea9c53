import { Button } from "@mantine/core";
import type { ReactNode } from "react";

import { Dialog } from "../game/Dialog";

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
          <Button onClick={onYes} loading={busy}>
            {yes}
          </Button>
          <Button variant="default" onClick={onNo}>
            Cancel
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
