import { useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Popconfirm, Select, Switch } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { client, data } from "@/api/client";
import type { Role, UserView } from "@/api/types";
import { useMe } from "@/app/session";
import { Age } from "@/ui/Age";
import { Panel } from "@/ui/Panel";
import { Secret, type SecretText } from "@/ui/Secret";
import { Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";
import { useChange } from "@/ui/useChange";

const ROLES: Role[] = ["admin", "analyst", "viewer"];
const KEY = ["users"];

export function Users() {
  const { t } = useTranslation();
  const me = useMe();
  const change = useChange(KEY);
  const query = useQuery({ queryKey: KEY, queryFn: () => data(client.GET("/api/v1/users")) });
  const [secret, setSecret] = useState<SecretText | null>(null);
  const [form] = Form.useForm<{ name: string; role: Role }>();
  const roles = ROLES.map((value) => ({ value, label: t(`role.${value}`) }));
  const tell = (user: UserView | undefined) => {
    if (user?.password) setSecret({ title: t("users.passwordOf", { name: user.name }), text: user.password });
  };
  const add = async (fields: { name: string; role: Role }) => {
    const made = await change(() => data(client.POST("/api/v1/users", { body: { ...fields, password: null } })));
    if (made) form.resetFields();
    tell(made);
  };
  const at = (id: string) => ({ params: { path: { user_id: id } } });
  return (
    <Panel title={t("settings.tab.users")} asOf={query.dataUpdatedAt || null}>
      <Form form={form} layout="inline" initialValues={{ role: "viewer" }} onFinish={(fields) => void add(fields)} className="add-row">
        <Form.Item name="name" label={t("users.name")} rules={[{ required: true, message: t("login.nameMissing") }]}>
          <Input maxLength={64} autoComplete="off" spellCheck={false} />
        </Form.Item>
        <Form.Item name="role" label={t("users.role")}>
          <Select options={roles} style={{ width: 130 }} />
        </Form.Item>
        <Button type="primary" htmlType="submit">
          {t("users.add")}
        </Button>
      </Form>
      <Loaded query={query}>
        {(users) => (
          <table className="small-table wide">
            <thead>
              <tr>
                <th scope="col">{t("users.name")}</th>
                <th scope="col">{t("users.role")}</th>
                <th scope="col">{t("users.enabled")}</th>
                <th scope="col">{t("users.lastLogin")}</th>
                <th scope="col">{t("field.created")}</th>
                <th scope="col">{t("field.actions")}</th>
              </tr>
            </thead>
            <tbody>
              {users.map((user) => {
                const own = user.name === me.name;
                return (
                  <tr key={user.id}>
                    <td>
                      <b>
                        <Text value={user.name} />
                      </b>{" "}
                      {own && <span className="muted">{t("users.you")}</span>}
                    </td>
                    <td>
                      <Select
                        size="small"
                        value={user.role}
                        options={roles}
                        disabled={own}
                        style={{ width: 120 }}
                        aria-label={`${t("users.role")}: ${user.name}`}
                        onChange={(role) => void change(() => client.PATCH("/api/v1/users/{user_id}", { ...at(user.id), body: { role } }))}
                      />
                    </td>
                    <td>
                      <Switch
                        size="small"
                        checked={!user.disabled}
                        disabled={own}
                        aria-label={`${t("users.enabled")}: ${user.name}`}
                        onChange={(on) => void change(() => client.PATCH("/api/v1/users/{user_id}", { ...at(user.id), body: { disabled: !on } }))}
                      />
                    </td>
                    <td>
                      <Age ms={user.last_login_ms} />
                    </td>
                    <td>
                      <Age ms={user.created_ms} />
                    </td>
                    <td>
                      <span className="row-actions">
                        <Popconfirm
                          title={t("users.resetAsk", { name: user.name })}
                          okText={t("users.reset")}
                          cancelText={t("action.cancel")}
                          onConfirm={() => void change(() => data(client.POST("/api/v1/users/{user_id}/reset", at(user.id)))).then(tell)}
                        >
                          <Button size="small">{t("users.reset")}</Button>
                        </Popconfirm>
                        {!own && (
                          <Popconfirm
                            title={t("users.deleteAsk", { name: user.name })}
                            okText={t("action.delete")}
                            cancelText={t("action.cancel")}
                            okButtonProps={{ danger: true }}
                            onConfirm={() => void change(() => client.DELETE("/api/v1/users/{user_id}", at(user.id)))}
                          >
                            <Button size="small" danger>
                              {t("action.delete")}
                            </Button>
                          </Popconfirm>
                        )}
                      </span>
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        )}
      </Loaded>
      <Secret secret={secret} onClose={() => setSecret(null)} />
    </Panel>
  );
}
