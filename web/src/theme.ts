import { Button, createTheme } from "@mantine/core";

/** Mantine's side of the look; colours of the page itself are CSS variables in game.css. */
export const theme = createTheme({
  fontFamily: '"Figtree Variable", system-ui, -apple-system, "Segoe UI", Roboto, sans-serif',
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  focusRing: "never", // game.css draws one for everything
  components: {
    Button: Button.extend({
      vars: (_, { variant, color }) =>
        variant || color
          ? { root: {} }
          : {
              root: {
                "--button-bg": "var(--ink)",
                "--button-hover": "color-mix(in srgb, var(--ink) 86%, var(--page))",
                "--button-color": "var(--page)",
              },
            },
    }),
  },
});
