import { Button, createTheme } from "@mantine/core";

/** Mantine's side of the look; colours, fonts and what else are CSS variables stand in game.css. */
export const theme = createTheme({
  defaultRadius: "md",
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
