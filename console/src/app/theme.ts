/** The palette, once: antd's tokens and the CSS variables of styles.css are made from it. */

import { theme as antd, type ThemeConfig } from "antd";
import type { Language } from "./prefs";

interface Palette {
  page: string;
  surface: string;
  raised: string;
  hover: string;
  border: string;
  borderStrong: string;
  text: string;
  text2: string;
  text3: string;
  primary: string;
  primaryFill: string;
  primarySoft: string;
  success: string;
  warning: string;
  danger: string;
  dangerFill: string;
  unknown: string;
  hatch: string;
}

const LIGHT: Palette = {
  page: "#f3f5f8",
  surface: "#ffffff",
  raised: "#f8fafc",
  hover: "#eef3fa",
  border: "#e0e5ec",
  borderStrong: "#c3ccd8",
  text: "#16202d",
  text2: "#46536a",
  text3: "#5d6b80",
  primary: "#1a5bbd",
  primaryFill: "#1a5bbd",
  primarySoft: "#e6eefa",
  success: "#16703c",
  warning: "#8f5300",
  danger: "#b92626",
  dangerFill: "#b92626",
  unknown: "#8793a5",
  hatch: "#e3e8ef",
};

const DARK: Palette = {
  page: "#0d1219",
  surface: "#141b24",
  raised: "#1a222d",
  hover: "#1e2937",
  border: "#273140",
  borderStrong: "#3b485a",
  text: "#e4eaf2",
  text2: "#abb8c9",
  text3: "#92a0b3",
  primary: "#76a9f7",
  primaryFill: "#2c69c8",
  primarySoft: "#1b2d47",
  success: "#63c98e",
  warning: "#e2aa4f",
  danger: "#f48383",
  dangerFill: "#b83a3a",
  unknown: "#6f7d91",
  hatch: "#222c39",
};

// Of this machine only, nothing is fetched. English comes from a Latin face first: CJK faces draw
// quotes and dots at full width.
const CJK = '"PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC"';
const SANS: Record<Language, string> = {
  en: `Inter, "Segoe UI", "Helvetica Neue", Roboto, "Noto Sans", "Liberation Sans", system-ui, ${CJK}, sans-serif`,
  zh: `Inter, "Segoe UI", "Helvetica Neue", ${CJK}, system-ui, sans-serif`,
};
const MONO =
  'ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Consolas, "DejaVu Sans Mono", ' +
  '"Noto Sans Mono CJK SC", monospace';

export function themeConfig(dark: boolean, language: Language): ThemeConfig {
  const p = dark ? DARK : LIGHT;
  return {
    algorithm: dark ? antd.darkAlgorithm : antd.defaultAlgorithm,
    cssVar: { key: `hb-${dark ? "dark" : "light"}-${language}` },
    token: {
      fontFamily: SANS[language],
      fontFamilyCode: MONO,
      fontSize: 13,
      borderRadius: 5,
      controlHeight: 30,
      wireframe: false,
      colorPrimary: p.primaryFill,
      colorInfo: p.primaryFill,
      colorLink: p.primary,
      colorLinkHover: p.primary,
      colorLinkActive: p.primary,
      colorSuccess: p.success,
      colorWarning: p.warning,
      // The dark algorithm darkens a seed; this one stays readable as text on the surface.
      colorError: dark ? "#ff9d9d" : p.danger,
      colorErrorText: p.danger,
      colorBgLayout: p.page,
      colorBgContainer: p.surface,
      colorBgElevated: dark ? p.raised : p.surface,
      colorBorder: p.borderStrong,
      colorBorderSecondary: p.border,
      ...(dark
        ? { colorWarningBg: "#2a2213", colorWarningBorder: "#5b4823", colorErrorBg: "#2b1719", colorErrorBorder: "#63323a" }
        : { colorWarningBg: "#fdf7ea", colorWarningBorder: "#ead5a4", colorErrorBg: "#fdf1f1", colorErrorBorder: "#efc4c4" }),
      ...(dark
        ? { colorSuccessBg: "#12251a", colorSuccessBorder: "#27533a" }
        : { colorSuccessBg: "#eff8f2", colorSuccessBorder: "#b9dec7" }),
      colorText: p.text,
      colorTextSecondary: p.text2,
      colorTextTertiary: p.text3,
      colorTextDescription: p.text3,
      colorTextPlaceholder: p.text3,
      motionDurationMid: "0.12s",
      motionDurationSlow: "0.16s",
    },
    components: {
      Tabs: {
        itemSelectedColor: p.primary,
        itemHoverColor: p.primary,
        inkBarColor: p.primary,
        horizontalMargin: "0",
        titleFontSize: 13,
      },
      Segmented: { itemSelectedColor: p.text, itemColor: p.text2 },
      Button: { defaultHoverColor: p.primary, defaultHoverBorderColor: p.primary, defaultActiveColor: p.primary, primaryShadow: "none", defaultShadow: "none", dangerShadow: "none", dangerColor: dark ? "#1c0c0c" : "#ffffff" },
      Drawer: { paddingLG: 18 },
      Form: { itemMarginBottom: 16, verticalLabelPadding: "0 0 4px" },
    },
  };
}

/** Hand the palette to styles.css and tell the browser which scheme its own parts use. */
export function applyPalette(dark: boolean, language: Language): void {
  const root = document.documentElement;
  for (const [name, value] of Object.entries(dark ? DARK : LIGHT)) {
    root.style.setProperty(`--${name.replace(/[A-Z0-9]/g, (c) => `-${c.toLowerCase()}`)}`, value as string);
  }
  root.style.setProperty("--sans", SANS[language]);
  root.style.setProperty("--mono", MONO);
  root.style.colorScheme = dark ? "dark" : "light";
  root.dataset.theme = dark ? "dark" : "light";
}
