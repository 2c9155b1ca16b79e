import { useQuery } from "@tanstack/react-query";
import { Button, Form, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { client, data } from "@/api/client";
import { count } from "@/lib/format";
import { Age } from "@/ui/Age";
import { Panel } from "@/ui/Panel";
import { Secret, type SecretText } from "@/ui/Secret";
import { Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";
import { useChange } from "@/ui/useChange";

const KEY = ["tenants"];

export function Tenants() {
  const { t } = useTranslation();
  const change = useChange(KEY);
  const query = useQuery({ queryKey: KEY, queryFn: () => data(client.GET("/api/v1/tenants")) });
  const [secret, setSecret] = useState<SecretText | null>(null);
  const [form] = Form.useForm<{ id: string; title?: string }>();
  const add = async ({ id, title = "" }: { id: string; title?: string }) => {
    const made = await change(() => data(client.POST("/api/v1/tenants", { body: { id, title } })));
    if (!made) return;
    form.resetFields();
    if (made.admin_password) setSecret({ title: t("tenants.adminOf", { id: made.id }), text: made.admin_password });
  };
  return (
    <Panel title={t("settings.tab.tenants")} asOf={query.dataUpdatedAt || null}>
      <p className="muted">{t("tenants.text")}</p>
      <Form form={form} layout="inline" onFinish={(fields) => void add(fields)} className="add-row">
        <Form.Item name="id" label={t("tenants.id")} rules={[{ required: true, pattern: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, message: t("tenants.idRule") }]}>
          <Input maxLength={63} spellCheck={false} />
        </Form.Item>
        <Form.Item name="title" label={t("tenants.name")}>
          <Input maxLength={100} />
        </Form.Item>
        <Button type="primary" htmlType="submit">
          {t("tenants.add")}
        </Button>
      </Form>
      <Loaded query={query}>
        {(tenants) => (
          <table className="small-table wide">
            <thead>
              <tr>
                <th scope="col">{t("tenants.id")}</th>
                <th scope="col">{t("tenants.name")}</th>
                <th scope="col" className="num">
                  {t("nav.agents")}
                </th>
                <th scope="col">{t("field.created")}</th>
              </tr>
            </thead>
            <tbody>
              {tenants.map((tenant) => (
                <tr key={tenant.id}>
                  <td className="mono">{tenant.id}</td>
                  <td>
                    <Text value={tenant.title} />
                  </td>
                  <td className="num">{count(tenant.agents)}</td>
                  <td>
                    <Age ms={tenant.created_ms} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Loaded>
      <Secret secret={secret} onClose={() => setSecret(null)} />
    </Panel>
  );
}
