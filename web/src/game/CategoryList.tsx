import { useId } from "react";

import type { Category } from "../api";
import { categoryName } from "./categoryName";

type Props = { categories: Category[]; value: string | undefined; onChange: (key: string) => void };

/** The categories as a group of radio buttons; those that cannot be played say why. */
export function CategoryList({ categories, value, onChange }: Props) {
  const name = useId();
  return (
    <fieldset className="categories">
      <legend className="visually-hidden">Category</legend>
      {categories.map((category) => (
        <label
          key={category.key}
          className={`category${category.account ? " category-account" : ""}${category.reason ? " category-closed" : ""}`}
        >
          <input
            type="radio"
            name={name}
            value={category.key}
            checked={category.key === value}
            disabled={category.reason !== null}
            onChange={() => onChange(category.key)}
          />
          <span className="category-words">
            <bdi className="category-name">{categoryName(category)}</bdi>
            <span className="category-note">{category.reason ?? note(category)}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

function note(category: Category): string {
  const cards = `${category.cards.toLocaleString()} cards`;
  return category.account ? cards : `everybody in it · ${cards}`;
}
