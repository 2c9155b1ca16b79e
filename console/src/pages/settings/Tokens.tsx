import { useQuery } from "@tanstack/react-query";
import { Button, Form, Input, Popconfirm, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { client, data } from "@/api/client";
import type { Role } from "@/api/types";
import { Age, Until } from "@/ui/Age";
import { Panel } from "@/ui/Panel";
import { Secret, type SecretText } from "@/ui/Secret";
import { Empty, Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";
import { useChange } from "@/ui/useChange";

const KEY = ["tokens"];
const DAY = 86_400;

interface Fields {
  name: string;
  role: Role;
  ttl_s: number;
}

export function Tokens() {
  const { t } = useTranslation();
  const change = useChange(KEY);
  const query = useQuery({ queryKey: KEY, queryFn: () => data(client.GET("/api/v1/tokens")) });
  const [secret, setSecret] = useState<SecretText | null>(null);
  const [form] = Form.useForm<Fields>();
  const add = async (fields: Fields) => {
    const made = await change(() => data(client.POST("/api/v1/tokens", { body: fields })));
    if (!made?.token) return;
    form.resetFields();
    setSecret({ title: t("tokens.tokenOf", { name: made.name }), text: made.token });
  };
  return (
    <Panel title={t("settings.tab.tokens")} asOf={query.dataUpdatedAt || null}>
      <p className="muted">{t("tokens.text")}</p>
      <Form form={form} layout="inline" initialValues={{ role: "viewer", ttl_s: 90 * DAY }} onFinish={(fields) => void add(fields)} className="add-row">
        <Form.Item name="name" label={t("tokens.name")} rules={[{ required: true, message: t("login.nameMissing") }]}>
          <Input maxLength={64} autoComplete="off" />
        </Form.Item>
        <Form.Item name="role" label={t("users.role")}>
          <Select style={{ width: 120 }} options={(["admin", "analyst", "viewer"] as const).map((value) => ({ value, label: t(`role.${value}`) }))} />
        </Form.Item>
        <Form.Item name="ttl_s" label={t("tokens.ttl")}>
          <Select style={{ width: 120 }} options={[7, 30, 90, 365].map((days) => ({ value: days * DAY, label: t("unit.days", { count: days }) }))} />
        </Form.Item>
        <Button type="primary" htmlType="submit">
          {t("tokens.add")}
        </Button>
      </Form>
      <Loaded query={query}>
        {(tokens) =>
          tokens.length ? (
            <table className="small-table wide">
              <thead>
                <tr>
                  <th scope="col">{t("tokens.name")}</th>
                  <th scope="col">{t("users.role")}</th>
                  <th scope="col">{t("task.by")}</th>
                  <th scope="col">{t("field.created")}</th>
                  <th scope="col">{t("enrol.expires")}</th>
                  <th scope="col">{t("tokens.lastUsed")}</th>
                  <th scope="col">{t("field.actions")}</th>
                </tr>
              </thead>
              <tbody>
                {tokens.map((token) => (
                  <tr key={token.id}>
                    <td>
                      <b>
                        <Text value={token.name} />
                      </b>
                    </td>
                    <td>{t(`role.${token.role}`)}</td>
                    <td>
                      <Text value={token.created_by} />
                    </td>
                    <td>
                      <Age ms={token.created_ms} />
                    </td>
                    <td>
                      <Until ms={token.expires_ms} />
                    </td>
                    <td>
                      <Age ms={token.last_used_ms} />
                    </td>
                    <td>
                      <Popconfirm
                        title={t("tokens.revokeAsk", { name: token.name })}
                        okText={t("tokens.revoke")}
                        cancelText={t("action.cancel")}
                        okButtonProps={{ danger: true }}
                        onConfirm={() => void change(() => client.DELETE("/api/v1/tokens/{token_id}", { params: { path: { token_id: token.id } } }))}
                      >
                        <Button size="small" danger>
                          {t("tokens.revoke")}
                        </Button>
                      </Popconfirm>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          ) : (
            <Empty title={t("tokens.none")}>{t("tokens.noneText")}</Empty>
          )
        }
      </Loaded>
      <Secret secret={secret} onClose={() => setSecret(null)} />
    </Panel>
  );
}
