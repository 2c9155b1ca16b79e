import { Modal } from "antd";
import { useTranslation } from "react-i18next";
import type { Hotkey } from "./hotkeys";

const SHOWN: Record<string, string> = { ArrowDown: "↓", ArrowUp: "↑", Escape: "Esc" };

/** The keys that work on the page that is open. */
export function Help({ keys, onClose }: { keys: Hotkey[] | null; onClose(): void }) {
  const { t } = useTranslation();
  const all = unique([...(keys ?? []), { key: "Escape", label: "keys.close", run: () => undefined }]);
  const jumps = all.filter((hotkey) => hotkey.key.startsWith("g "));
  const rest = all.filter((hotkey) => !hotkey.key.startsWith("g "));
  return (
    <Modal open={keys !== null} onCancel={onClose} footer={null} title={t("keys.help")} width={620}>
      <div className="help">
        <section>
          <h3>{t("keys.here")}</h3>
          <List keys={rest} />
          <p className="muted">{t("keys.tab")}</p>
        </section>
        <section>
          <h3>{t("keys.jump")}</h3>
          <List keys={jumps} />
        </section>
      </div>
    </Modal>
  );
}

function List({ keys }: { keys: Hotkey[] }) {
  const { t } = useTranslation();
  return (
    <dl className="keys">
      {keys.map((hotkey) => (
        <div key={`${hotkey.control ? "Ctrl " : ""}${hotkey.key}`}>
          <dt>
            {hotkey.control && (
              <>
                <kbd>Ctrl</kbd> <kbd>K</kbd>
              </>
            )}
            {!hotkey.control && hotkey.key.split(" ").map((key) => <kbd key={key}>{SHOWN[key] ?? key}</kbd>)}
          </dt>
          <dd>{t(hotkey.label)}</dd>
        </div>
      ))}
    </dl>
  );
}

function unique(keys: Hotkey[]): Hotkey[] {
  return [...new Map(keys.map((hotkey) => [hotkey.control ? `Ctrl ${hotkey.key}` : hotkey.key, hotkey])).values()];
}
