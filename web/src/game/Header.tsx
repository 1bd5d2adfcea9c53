import { ActionIcon, UnstyledButton, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";

import { type Category, serverless } from "../api";
import { useWords } from "../i18n";
import { categoryName } from "./categoryName";
import { BoardIcon, ChevronIcon, InfoIcon, MoonIcon, SunIcon } from "./icons";

type Props = { category: Category | undefined; onChoose: () => void; onBoards: () => void; onAbout: () => void };

export function Header({ category, onChoose, onBoards, onAbout }: Props) {
  const t = useWords();
  return (
    <header className="header">
      <div className="wordmark">Pasquin</div>
      <div className="header-tools">
        {category && (
          <UnstyledButton className="category-button" onClick={onChoose} aria-haspopup="dialog">
            <span className="visually-hidden">{t("category")}: </span>
            <bdi className="ellipsis">{categoryName(category)}</bdi>
            <ChevronIcon />
          </UnstyledButton>
        )}
        {category && !serverless && (
          <ActionIcon variant="subtle" color="gray" size="lg" className="tool" aria-label={t("boards")} onClick={onBoards}>
            <BoardIcon />
          </ActionIcon>
        )}
        <ColourToggle />
        <ActionIcon variant="subtle" color="gray" size="lg" className="tool" aria-label={t("about")} onClick={onAbout}>
          <InfoIcon />
        </ActionIcon>
      </div>
    </header>
  );
}

/** Light or dark. */
export function ColourToggle() {
  const t = useWords();
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme("light", { getInitialValueInEffect: false }) === "dark";
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size="lg"
      className="tool"
      aria-label={t(dark ? "light" : "dark")}
      onClick={() => setColorScheme(dark ? "light" : "dark")}
    >
      {dark ? <SunIcon /> : <MoonIcon />}
    </ActionIcon>
  );
}
