import { SearchOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useId, useMemo, useRef, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { client, data } from "@/api/client";
import { useTaxonomy, useViews } from "@/api/queries";
import { quote } from "@/lib/filter";
import { rank, type Ranked, type Titled } from "@/lib/fuzzy";
import { display } from "@/lib/text";
import { addressOf, isOwnPath } from "@/lib/views";
import { titleOf } from "@/ui/Value";
import { homeOf, PAGES } from "./page";
import { setPrefs, usePrefs } from "./prefs";
import { may, useMe } from "./session";

export interface Action {
  id: string;
  /** Translation key. */
  title: string;
  run(): void;
}

interface Entry extends Titled {
  id: string;
  kind: "page" | "subclass" | "view" | "workload" | "action";
  note?: string;
  run(): void;
}

interface Props {
  onClose(): void;
  actions: Action[];
}

const LIMIT = 12;
const WAIT_MS = 180;

/** Ctrl-K: everything that has a name, by a few of its letters. */
export default function Palette({ onClose, actions }: Props) {
  const { t } = useTranslation();
  const list = useId();
  const box = useRef<HTMLDivElement>(null);
  const [query, setQuery] = useState("");
  const [active, setActive] = useState(0);
  const known = useEntries(onClose, actions);
  const machines = useMachines(query, onClose);
  const shown: Ranked<Entry>[] = useMemo(() => {
    const all = rank(query, [...known, ...machines.entries], LIMIT);
    // What the server found by something that is not shown (another address) fits as well.
    const others = machines.entries.filter((entry) => !all.some(({ item }) => item === entry));
    return [...all, ...(all.length < LIMIT ? others.map((item) => ({ item, marks: [] })) : [])];
  }, [query, known, machines.entries]);
  const at = Math.min(active, Math.max(0, shown.length - 1));

  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    return () => before?.focus?.();
  }, []);
  useEffect(() => {
    document.getElementById(`${list}-${at}`)?.scrollIntoView?.({ block: "nearest" });
  }, [at, list]);

  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    const last = shown.length - 1;
    const to: Record<string, number> = { ArrowDown: at >= last ? 0 : at + 1, ArrowUp: at <= 0 ? last : at - 1, PageDown: Math.min(last, at + 6), PageUp: Math.max(0, at - 6) };
    if (event.key in to) {
      event.preventDefault();
      setActive(Math.max(0, to[event.key] ?? 0));
    } else if (event.key === "Enter") {
      event.preventDefault();
      shown[at]?.item.run();
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      onClose();
    } else if (event.key === "Tab") {
      // The input is all there is to focus: the list is walked with the arrows.
      event.preventDefault();
    }
  };

  return (
    <div className="palette-back" onMouseDown={(event) => event.target === event.currentTarget && onClose()} role="presentation">
      <div className="palette" role="dialog" aria-modal="true" aria-label={t("palette.title")} ref={box}>
        <div className="palette-input">
          <SearchOutlined aria-hidden="true" />
          <input
            autoFocus
            value={query}
            placeholder={t("palette.placeholder")}
            aria-label={t("palette.placeholder")}
            role="combobox"
            aria-expanded={shown.length > 0}
            aria-controls={list}
            aria-autocomplete="list"
            aria-activedescendant={shown.length ? `${list}-${at}` : undefined}
            spellCheck={false}
            autoComplete="off"
            onChange={(event) => {
              setQuery(event.target.value);
              setActive(0);
            }}
            onKeyDown={onKeyDown}
          />
          <kbd>Esc</kbd>
        </div>
        <ul id={list} role="listbox" aria-label={t("palette.title")} hidden={!shown.length}>
          {shown.map(({ item, marks }, index) => (
            <li
              key={`${item.kind}/${item.id}`}
              id={`${list}-${index}`}
              role="option"
              aria-selected={index === at}
              onMouseMove={() => setActive(index)}
              onMouseDown={(event) => {
                event.preventDefault();
                item.run();
              }}
            >
              <span className="palette-name">
                <Marked text={item.title} marks={marks} />
                {item.note && <span className="muted"> {item.note}</span>}
              </span>
              <span className="palette-kind">{t(`palette.kind.${item.kind}`)}</span>
            </li>
          ))}
        </ul>
        <p className="palette-foot" role="status">
          {machines.error ? <span className="bad-text">{t("palette.hostsFailed", { why: machines.error })}</span> : shown.length ? t("palette.keys") : t(machines.asking ? "palette.asking" : "palette.none", { query: query.trim() })}
        </p>
      </div>
    </div>
  );
}

function Marked({ text, marks }: { text: string; marks: [number, number][] }) {
  const out: ReactNode[] = [];
  let last = 0;
  for (const [start, end] of marks) {
    if (start < last) continue;
    out.push(text.slice(last, start), <mark key={start}>{text.slice(start, end)}</mark>);
    last = end;
  }
  return (
    <>
      {out}
      {text.slice(last)}
    </>
  );
}

/** What the console knows by name: pages, subclasses, saved views, actions; in both languages. */
function useEntries(onClose: () => void, actions: Action[]): Entry[] {
  const { t, i18n } = useTranslation();
  const { language } = usePrefs();
  const navigate = useNavigate();
  const me = useMe();
  const { data: classes } = useTaxonomy();
  const { data: views } = useViews();
  return useMemo(() => {
    const go = (path: string) => () => {
      onClose();
      void navigate(path);
    };
    const other = i18n.getFixedT(language === "zh" ? "en" : "zh");
    const pages = PAGES.filter((page) => !page.roles || page.roles.includes(me.role));
    return [
      ...pages.map((page): Entry => ({ id: homeOf(page), kind: "page", title: t(page.title), also: [other(page.title)], note: page.letter && `g ${page.letter}`, weight: 6, run: go(homeOf(page)) })),
      ...(views ?? []).filter((view) => isOwnPath(view.path)).map((view): Entry => ({ id: view.id, kind: "view", title: display(view.name), also: [view.path], note: view.mine ? undefined : display(view.owner), weight: 4, run: go(addressOf(view)) })),
      ...pages.flatMap((page) =>
        (page.places ?? [])
          .filter((place) => !place.role || may(me, place.role))
          .map((place): Entry => ({ id: place.path, kind: "page", title: t(place.title), also: [other(place.title), `${other(page.title)} ${other(place.title)}`, `${t(page.title)} ${t(place.title)}`], note: t(page.title), weight: 2, run: go(place.path) })),
      ),
      ...actions.map((action): Entry => ({ id: action.id, kind: "action", title: t(action.title), also: [other(action.title)], run: () => (onClose(), action.run()) })),
      ...(["light", "dark", "system"] as const).map((theme): Entry => ({
        id: `theme-${theme}`,
        kind: "action",
        title: `${t("prefs.theme")}: ${t(`prefs.${theme}`)}`,
        also: [`${other("prefs.theme")}: ${other(`prefs.${theme}`)}`],
        run: () => (setPrefs({ theme }), onClose()),
      })),
      ...(["en", "zh"] as const).map((to): Entry => ({
        id: `language-${to}`,
        kind: "action",
        title: `${t("prefs.language")}: ${to === "zh" ? "简体中文" : "English"}`,
        also: [`${other("prefs.language")}: ${to === "zh" ? "Chinese" : "英文"}`],
        run: () => (setPrefs({ language: to }), onClose()),
      })),
      ...(classes ?? []).flatMap((group) =>
        (group.subclasses ?? []).map((sub): Entry => ({
          id: sub.id,
          kind: "subclass",
          title: titleOf(sub.title, language),
          also: [titleOf(sub.title, language === "zh" ? "en" : "zh"), sub.id, titleOf(group.title, language)],
          note: titleOf(group.title, language),
          run: go(`/inventory/${sub.id}`),
        })),
      ),
    ];
  }, [t, i18n, language, navigate, me, classes, views, onClose, actions]);
}

/** Machines by host name or address: the server searches, there may be thousands. */
function useMachines(query: string, onClose: () => void): { entries: Entry[]; asking: boolean; error: string } {
  const navigate = useNavigate();
  const [asked, setAsked] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setAsked(query.trim()), WAIT_MS);
    return () => clearTimeout(timer);
  }, [query]);
  const found = useQuery({
    queryKey: ["palette", asked],
    queryFn: () => data(client.GET("/api/v1/workloads", { params: { query: { filter: `hostname ~ ${quote(asked, "str")} or addresses ~ ${quote(asked, "str")}`, limit: 6 } } })),
    enabled: asked.length > 0,
    staleTime: 10_000,
  });
  const entries = useMemo(
    () =>
      asked && asked === query.trim()
        ? (found.data?.items ?? []).map((one): Entry => ({
            id: one.id,
            kind: "workload",
            title: display(one.hostname),
            also: one.facts.addresses,
            note: display(one.facts.addresses[0] ?? one.site),
            weight: 3,
            run: () => {
              onClose();
              void navigate(`/workloads/${one.id}`);
            },
          }))
        : [],
    [found.data, asked, query, navigate, onClose],
  );
  return { entries, asking: asked !== query.trim() || found.isFetching, error: found.error ? found.error.message : "" };
}
