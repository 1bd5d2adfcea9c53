import { ActionIcon, UnstyledButton, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";

import type { Category } from "../api";
import { categoryName } from "./categoryName";
import { ChevronIcon, InfoIcon, MoonIcon, SunIcon } from "./icons";

type Props = { category: Category | undefined; onChoose: () => void; onAbout: () => void };

export function Header({ category, onChoose, onAbout }: Props) {
  return (
    <header className="header">
      <div className="wordmark">Pasquin</div>
      <div className="header-tools">
        {category && (
          <UnstyledButton className="category-button" onClick={onChoose} aria-haspopup="dialog">
            <span className="visually-hidden">Category: </span>
            <bdi className="ellipsis">{categoryName(category)}</bdi>
            <ChevronIcon />
          </UnstyledButton>
        )}
        <ColourToggle />
        <ActionIcon variant="subtle" color="gray" size="lg" className="tool" aria-label="About this game" onClick={onAbout}>
          <InfoIcon />
        </ActionIcon>
      </div>
    </header>
  );
}

/** Light or dark. */
export function ColourToggle() {
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme("light", { getInitialValueInEffect: false }) === "dark";
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size="lg"
      className="tool"
      aria-label={dark ? "Use light colours" : "Use dark colours"}
      onClick={() => setColorScheme(dark ? "light" : "dark")}
    >
      {dark ? <SunIcon /> : <MoonIcon />}
    </ActionIcon>
  );
}
