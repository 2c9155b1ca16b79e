import { render } from "@testing-library/react";
import type { ReactNode } from "react";
import { I18nextProvider } from "react-i18next";
import { MemoryRouter } from "react-router";
import { i18n } from "@/i18n";

export function show(node: ReactNode, at = "/") {
  return render(
    <I18nextProvider i18n={i18n}>
      <MemoryRouter initialEntries={[at]}>{node}</MemoryRouter>
    </I18nextProvider>,
  );
}
