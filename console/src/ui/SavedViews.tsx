import { DeleteOutlined, EditOutlined, LinkOutlined, PushpinOutlined, SaveOutlined, TeamOutlined } from "@ant-design/icons";
import { App, Button, Checkbox, Form, Input, Modal, Popconfirm, Popover } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation } from "react-router";
import { client, data } from "@/api/client";
import { useViews } from "@/api/queries";
import type { SavedView } from "@/api/types";
import { useHotkeys } from "@/app/hotkeys";
import { useMay } from "@/app/session";
import { useUrl } from "@/lib/url";
import { addressOf, currentView, isOwnPath, isShown, kept } from "@/lib/views";
import { Failed } from "./States";
import { Text } from "./Text";
import { useChange } from "./useChange";

type Editing = { view: SavedView | null } | null;

/** Saved views of this page: filter, sort, columns and time range under a name, own and shared. */
export function SavedViews() {
  const { t } = useTranslation();
  const { pathname, search } = useLocation();
  const url = useUrl();
  const query = useViews();
  const [open, setOpen] = useState(false);
  const [editing, setEditing] = useState<Editing>(null);
  const here = (query.data ?? []).filter((view) => view.path === pathname);
  const elsewhere = (query.data ?? []).length - here.length;
  const now = currentView(here, pathname, search);
  const altered = now !== undefined && !isShown(now, pathname, search);
  const edit = (view: SavedView | null) => {
    setOpen(false);
    setEditing({ view });
  };
  useHotkeys([{ key: "Escape", label: "keys.close", hidden: true, run: () => setOpen(false) }], open);

  const content = (
    <div className="views" role="group" aria-label={t("view.title")} onKeyDown={(event) => event.key === "Escape" && setOpen(false)}>
      {query.error && !query.data && <Failed error={query.error} retry={() => void query.refetch()} />}
      {here.length > 0 ? (
        <ul>
          {here.map((view) => (
            <Row key={view.id} view={view} current={view.id === now?.id} altered={view.id === now?.id && altered} onEdit={() => edit(view)} onGo={() => setOpen(false)} />
          ))}
        </ul>
      ) : (
        !query.error && <p className="muted">{t("view.none")}</p>
      )}
      <div className="views-foot">
        <Button size="small" icon={<SaveOutlined />} onClick={() => edit(null)}>
          {t("view.save")}
        </Button>
        {elsewhere > 0 && <span className="muted">{t("view.elsewhere", { count: elsewhere })}</span>}
      </div>
    </div>
  );
  return (
    <>
      <Popover content={content} trigger="click" placement="bottomRight" open={open} onOpenChange={setOpen} destroyOnHidden>
        <Button icon={<PushpinOutlined />} aria-expanded={open} data-testid="views">
          {now ? (
            <span className="views-now">
              <Text value={now.name} />
              {altered && <span title={t("view.altered")}> *</span>}
            </span>
          ) : (
            t("view.title")
          )}
        </Button>
      </Popover>
      {editing && (
        <Editor
          view={editing.view}
          path={pathname}
          search={search}
          onClose={(made) => {
            setEditing(null);
            if (made) url.set({ view: made.id });
          }}
        />
      )}
    </>
  );
}

interface RowProps {
  view: SavedView;
  current: boolean;
  altered: boolean;
  onEdit(): void;
  onGo(): void;
}

function Row({ view, current, altered, onEdit, onGo }: RowProps) {
  const { t } = useTranslation();
  const { search } = useLocation();
  const { message } = App.useApp();
  const change = useChange(["views"]);
  const admin = useMay("admin");
  const at = { params: { path: { view_id: view.id } } };
  const body = { name: view.name, path: view.path, query: view.query ?? "", shared: view.shared };
  const replace = (fields: Partial<typeof body>) => change(() => data(client.PUT("/api/v1/views/{view_id}", { ...at, body: { ...body, ...fields } })));
  const copy = async () => {
    await navigator.clipboard.writeText(window.location.origin + addressOf(view));
    void message.success(t("view.copied"));
  };
  if (!isOwnPath(view.path)) return null;
  return (
    <li className={current ? "current" : undefined}>
      <Link to={addressOf(view)} onClick={onGo} aria-current={current ? "page" : undefined}>
        <Text value={view.name} />
      </Link>
      <span className="muted views-owner">{view.mine ? view.shared && t("view.shared") : <Text value={view.owner} />}</span>
      <span className="row-actions">
        {view.mine && altered && (
          <Button size="small" type="primary" onClick={() => void replace({ query: kept(search) })}>
            {t("view.update")}
          </Button>
        )}
        <Button size="small" type="text" icon={<LinkOutlined />} title={t("view.copy")} aria-label={`${t("view.copy")}: ${view.name}`} onClick={() => void copy()} />
        {view.mine && (
          <>
            <Button
              size="small"
              type="text"
              icon={<TeamOutlined />}
              className={view.shared ? "on" : undefined}
              title={t(view.shared ? "view.unshare" : "view.share")}
              aria-label={`${t(view.shared ? "view.unshare" : "view.share")}: ${view.name}`}
              aria-pressed={view.shared}
              onClick={() => void replace({ shared: !view.shared })}
            />
            <Button size="small" type="text" icon={<EditOutlined />} title={t("view.rename")} aria-label={`${t("view.rename")}: ${view.name}`} onClick={onEdit} />
          </>
        )}
        {(view.mine || (admin && view.shared)) && (
          <Popconfirm
            title={t("view.deleteAsk", { name: view.name })}
            okText={t("action.delete")}
            cancelText={t("action.cancel")}
            okButtonProps={{ danger: true }}
            onConfirm={() => void change(() => client.DELETE("/api/v1/views/{view_id}", at))}
          >
            <Button size="small" type="text" icon={<DeleteOutlined />} title={t("action.delete")} aria-label={`${t("action.delete")}: ${view.name}`} />
          </Popconfirm>
        )}
      </span>
    </li>
  );
}

interface EditorProps {
  /** The view to rename, or none to save what the page shows. */
  view: SavedView | null;
  path: string;
  search: string;
  onClose(made?: SavedView): void;
}

function Editor({ view, path, search, onClose }: EditorProps) {
  const { t } = useTranslation();
  const change = useChange(["views"]);
  const [busy, setBusy] = useState(false);
  const save = async ({ name, shared }: { name: string; shared: boolean }) => {
    setBusy(true);
    const made = await change(() =>
      view
        ? data(client.PUT("/api/v1/views/{view_id}", { params: { path: { view_id: view.id } }, body: { name: name.trim(), shared, path: view.path, query: view.query ?? "" } }))
        : data(client.POST("/api/v1/views", { body: { name: name.trim(), shared, path, query: kept(search) } })),
    );
    setBusy(false);
    if (made) onClose(view ? undefined : made);
  };
  return (
    <Modal open title={t(view ? "view.rename" : "view.save")} onCancel={() => onClose()} footer={null} width={420} destroyOnHidden>
      <Form layout="vertical" initialValues={{ name: view?.name ?? "", shared: view?.shared ?? false }} onFinish={(fields) => void save(fields as { name: string; shared: boolean })}>
        <Form.Item name="name" label={t("view.name")} rules={[{ required: true, whitespace: true, message: t("login.nameMissing") }]}>
          <Input autoFocus maxLength={100} />
        </Form.Item>
        <Form.Item name="shared" valuePropName="checked">
          <Checkbox>{t("view.shareWith")}</Checkbox>
        </Form.Item>
        {!view && (
          <p className="muted views-what">
            {t("view.keeps")} {kept(search) ? <Text mono value={decodeURIComponent(kept(search).replaceAll("+", " "))} /> : t("view.keepsNothing")}
          </p>
        )}
        <Button type="primary" htmlType="submit" loading={busy}>
          {t("view.saveButton")}
        </Button>
      </Form>
    </Modal>
  );
}
