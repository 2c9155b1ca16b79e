import { DesktopOutlined, MoonOutlined, SunOutlined } from "@ant-design/icons";
import { Segmented } from "antd";
import { useTranslation } from "react-i18next";
import { setPrefs, usePrefs, type Language, type Theme } from "./prefs";

/** Language: one press, shown in the language it leads to. */
export function LanguageSwitch() {
  const { language } = usePrefs();
  const other: Language = language === "en" ? "zh" : "en";
  return (
    <button
      type="button"
      className="quiet"
      lang={other === "zh" ? "zh-CN" : "en"}
      data-testid="language"
      onClick={() => setPrefs({ language: other })}
    >
      {other === "zh" ? "中文" : "English"}
    </button>
  );
}

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const ICON = { system: DesktopOutlined, light: SunOutlined, dark: MoonOutlined };

export function ThemeSwitch() {
  const { theme } = usePrefs();
  const { t } = useTranslation();
  const Icon = ICON[theme];
  const label = `${t("prefs.theme")}: ${t(`prefs.${theme}`)}`;
  return (
    <button
      type="button"
      className="quiet"
      data-testid="theme"
      title={label}
      aria-label={label}
      onClick={() => setPrefs({ theme: NEXT[theme] })}
    >
      <Icon />
    </button>
  );
}

export function ThemeChoice() {
  const { theme } = usePrefs();
  const { t } = useTranslation();
  return (
    <Segmented<Theme>
      value={theme}
      aria-label={t("prefs.theme")}
      onChange={(value) => setPrefs({ theme: value })}
      options={(["system", "light", "dark"] as const).map((value) => ({ value, label: t(`prefs.${value}`) }))}
    />
  );
}

export function LanguageChoice() {
  const { language } = usePrefs();
  const { t } = useTranslation();
  return (
    <Segmented<Language>
      value={language}
      aria-label={t("prefs.language")}
      onChange={(value) => setPrefs({ language: value })}
      options={[
        { value: "en", label: "English" },
        { value: "zh", label: "简体中文" },
      ]}
    />
  );
}
