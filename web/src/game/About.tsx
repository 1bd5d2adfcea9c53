import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { api, serverless } from "../api";
import { useWords } from "../i18n";
import { Button } from "../ui/buttons";
import { Dialog } from "./Dialog";
import { Stored } from "./Stored";

type Props = { opened: boolean; onClose: () => void; started: boolean; onErased: () => void };

/** What this is, for whoever asks; and the button that erases what is stored. */
export function About({ opened, onClose, started, onErased }: Props) {
  const t = useWords();
  return (
    <Dialog opened={opened} onClose={onClose} title={t("about")}>
      <div className="about">
        <p>{t("about_model")}</p>
        <p>{t("about_parody")}</p>
        <Stored />
        {started && <Erase onErased={onErased} />}
        {!serverless && <p className="soft small">{t("about_noise")}</p>}
        <p className="soft small">{t("about_keys")}</p>
      </div>
    </Dialog>
  );
}

function Erase({ onErased }: { onErased: () => void }) {
  const t = useWords();
  const [sure, setSure] = useState(false);
  const erase = useMutation({ mutationFn: api.erase, onSuccess: onErased });
  return (
    <div className="erase">
      {sure ? (
        <>
          <Button danger busy={erase.isPending} onClick={() => erase.mutate()}>
            {t("erase_yes")}
          </Button>
          <Button look="outlined" onClick={() => setSure(false)}>
            {t("erase_no")}
          </Button>
        </>
      ) : (
        <Button look="outlined" onClick={() => setSure(true)}>
          {t("erase")}
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
