import { useMutation, useQueryClient } from "@tanstack/react-query";

/** Something a button does on the server; whatever came of it, what the page shows is asked for anew. Those with one
 * `line` go one after the other. */
export function useAction<In, Out>(work: (input: In) => Promise<Out>, line?: string) {
  const queries = useQueryClient();
  return useMutation<Out, Error, In>({
    mutationFn: work,
    ...(line ? { scope: { id: line } } : {}),
    onSettled: () => Promise.all(["bots", "bot", "calendar", "published"].map((key) => queries.invalidateQueries({ queryKey: [key] }))),
  });
}
