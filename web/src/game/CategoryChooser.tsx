import type { Category } from "../api";
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
export function CategoryChooser({ opened, onClose, categories, value, onChange }: Props) {
  return (
    <Dialog opened={opened} onClose={onClose} title="Whose posts?">
      <CategoryList categories={categories} value={value} onChange={onChange} />
    </Dialog>
  );
}
