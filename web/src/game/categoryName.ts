import type { Category } from "../api";

/** What a category is called on the page: the account, or the whole corpus. */
export function categoryName(category: Category): string {
  return category.account ?? category.corpus;
}
