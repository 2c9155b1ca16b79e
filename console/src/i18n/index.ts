/** English and simplified Chinese, both in the first load: a switch needs no request. */

import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import { getPrefs } from "@/app/prefs";
import en from "./en.json";
import zh from "./zh.json";

export const i18n = i18next.createInstance();

void i18n.use(initReactI18next).init({
  lng: getPrefs().language,
  fallbackLng: false,
  resources: { en: { translation: en }, zh: { translation: zh } },
  interpolation: { escapeValue: false },
  returnNull: false,
  initAsync: false,
});
