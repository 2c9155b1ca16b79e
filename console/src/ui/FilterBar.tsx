import { FilterOutlined } from "@ant-design/icons";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useHotkeys } from "@/app/hotkeys";
import { check, spot, type FilterField } from "@/lib/filter";
import { suggest, type Facet, type Suggestion } from "@/lib/suggest";

interface Props {
  value: string;
  onApply(filter: string): void;
  fields: FilterField[];
  /** Known values of a field with how often each occurs. */
  values?(field: string): Promise<Facet[]>;
  placeholder?: string;
  /** What the server had to say about the applied filter. */
  refused?: string;
}

/** One line of the filter grammar with completion of fields, operators and values. */
export function FilterBar({ value, onApply, fields, values, placeholder, refused }: Props) {
  const { t } = useTranslation();
  const list = useId();
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(value);
  const [caret, setCaret] = useState(value.length);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const [known, setKnown] = useState<Record<string, Facet[]>>({});

  // Where the caret goes once an accepted suggestion stands in the input.
  const moved = useRef<number | null>(null);

  useEffect(() => setText(value), [value]);
  useLayoutEffect(() => {
    if (moved.current !== null) input.current?.setSelectionRange(moved.current, moved.current);
    moved.current = null;
  }, [text]);
  useHotkeys([{ key: "/", label: "keys.filter", run: () => input.current?.focus() }]);

  const here = spot(text, caret);
  const wanted = open && (here.expect === "value" || here.expect === "list") ? here.field : "";
  useEffect(() => {
    if (!wanted || !values || known[wanted]) return undefined;
    let current = true;
    values(wanted).then(
      (found) => current && setKnown((now) => ({ ...now, [wanted]: found })),
      () => current && setKnown((now) => ({ ...now, [wanted]: [] })),
    );
    return () => {
      current = false;
    };
  }, [wanted, values, known]);
  // Values depend on the filter that is applied.
  useEffect(() => setKnown({}), [value, values]);

  const options = open ? suggest(here, fields, known[here.field] ?? []) : [];
  const mistake = check(text, fields);
  const shown = text === value && refused ? refused : null;

  const accept = (option: Suggestion) => {
    const tail = text.slice(here.end);
    const head = text.slice(0, here.start) + option.insert;
    setText(head + tail);
    setCaret(head.length);
    setActive(-1);
    moved.current = head.length;
  };
  const apply = (next: string) => {
    setOpen(false);
    setActive(-1);
    onApply(next.trim());
  };

  const onKeyDown = (event: React.KeyboardEvent) => {
    const option = options[active];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      if (!options.length) return;
      const by = event.key === "ArrowDown" ? 1 : -1;
      setActive((active + by + options.length + (active < 0 && by < 0 ? 1 : 0)) % options.length);
    } else if (event.key === "Tab" && !event.shiftKey && open && options.length && text) {
      const first = option ?? options[0];
      if (here.word && first) {
        event.preventDefault();
        accept(first);
      }
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (option) accept(option);
      else if (!mistake) apply(text);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (open) setOpen(false);
      else input.current?.blur();
    }
  };
  const track = () => setCaret(input.current?.selectionStart ?? text.length);
  const complaint = mistake && text !== value && !open ? t(`filter.mistake.${mistake.code}`, { at: mistake.at, text: mistake.text }) : shown;

  return (
    <div className="filter" role="search">
      <div className={`filter-box ${complaint ? "bad" : ""}`}>
        <FilterOutlined aria-hidden="true" />
        <input
          ref={input}
          className="mono"
          value={text}
          placeholder={placeholder ?? t("filter.placeholder")}
          aria-label={t("filter.label")}
          role="combobox"
          aria-expanded={options.length > 0}
          aria-controls={list}
          aria-autocomplete="list"
          aria-activedescendant={active >= 0 ? `${list}-${active}` : undefined}
          aria-invalid={Boolean(complaint)}
          spellCheck={false}
          autoComplete="off"
          onChange={(event) => {
            setText(event.target.value);
            setCaret(event.target.selectionStart ?? event.target.value.length);
            setOpen(true);
            setActive(-1);
          }}
          onFocus={() => setOpen(true)}
          onBlur={() => setOpen(false)}
          onSelect={track}
          onKeyDown={onKeyDown}
        />
        {text !== value && (
          <button type="button" className="filter-act" disabled={Boolean(mistake)} onMouseDown={(event) => event.preventDefault()} onClick={() => apply(text)}>
            {t("filter.apply")} ↵
          </button>
        )}
        {(text || value) && (
          <button type="button" className="filter-act" onClick={() => apply("")}>
            {t("filter.clear")}
          </button>
        )}
      </div>
      <ul id={list} role="listbox" className="filter-list" hidden={!options.length} aria-label={t("filter.suggestions")}>
        {options.map((option, index) => (
          <li
            key={option.label}
            id={`${list}-${index}`}
            role="option"
            aria-selected={index === active}
            onMouseDown={(event) => {
              event.preventDefault();
              accept(option);
            }}
          >
            <span className="mono">{option.label}</span>
            <span className="muted">{option.note}</span>
          </li>
        ))}
      </ul>
      {complaint && (
        <p className="filter-complaint" role="alert">
          {complaint}
        </p>
      )}
    </div>
  );
}
