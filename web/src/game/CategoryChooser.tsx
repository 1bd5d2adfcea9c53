import { useState } from "react";

import type { Category } from "../api";
import { useWords } from "../i18n";
import { Button } from "../ui/buttons";
import { CategoryList } from "./CategoryList";
import { Dialog } from "./Dialog";

type Props = {
  opened: boolean;
  onClose: () => void;
  categories: Category[];
  value: string | undefined;
  onChange: (key: string) => void;
};

/** The categories in a dialogue, while playing. */
export function CategoryChooser({ opened, onClose, ...rest }: Props) {
  const t = useWords();
  return (
    <Dialog opened={opened} onClose={onClose} title={t("whose")}>
      <Choosing {...rest} />
    </Dialog>
  );
}

/** Chosen with a button, not at once: with the keyboard one passes over categories to reach another. */
function Choosing({ categories, value, onChange }: Omit<Props, "opened" | "onClose">) {
  const t = useWords();
  const [draft, setDraft] = useState(value);
  return (
    <>
      <CategoryList categories={categories} value={draft} onChange={setDraft} />
      <Button className="choosing" wide onClick={() => draft && onChange(draft)}>
        {t("play")}
      </Button>
    </>
  );
}
