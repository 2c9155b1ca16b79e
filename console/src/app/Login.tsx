import { Alert, Button, Form, Input } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "@/api/client";
import { Mark } from "@/ui/Mark";
import { LanguageSwitch, ThemeSwitch } from "./Controls";
import { useSignIn } from "./session";

interface Fields {
  name: string;
  password: string;
}

export function Login() {
  const { t } = useTranslation();
  const signIn = useSignIn();
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const submit = async ({ name, password }: Fields) => {
    setBusy(true);
    setError(null);
    try {
      await signIn(name.trim(), password);
    } catch (caught) {
      setError(caught);
      setBusy(false);
    }
  };
  return (
    <main className="login">
      <div className="login-tools">
        <LanguageSwitch />
        <ThemeSwitch />
      </div>
      <div className="login-box">
        <div className="login-brand">
          <Mark size={44} />
          <h1>Hauberk</h1>
          <p>{t("brand.line")}</p>
        </div>
        {error !== null && <Alert type="error" showIcon title={message(error, t)} className="login-error" />}
        <Form<Fields> layout="vertical" onFinish={(fields) => void submit(fields)} requiredMark={false}>
          <Form.Item name="name" label={t("login.name")} rules={[{ required: true, message: t("login.nameMissing") }]}>
            <Input autoFocus autoComplete="username" spellCheck={false} />
          </Form.Item>
          <Form.Item name="password" label={t("login.password")} rules={[{ required: true, message: t("login.passwordMissing") }]}>
            <Input.Password autoComplete="current-password" />
          </Form.Item>
          <Button type="primary" htmlType="submit" block loading={busy}>
            {t("login.submit")}
          </Button>
        </Form>
        <p className="login-hint">{t("login.hint")}</p>
        <code className="login-command">hauberk users reset admin</code>
      </div>
    </main>
  );
}

function message(error: unknown, t: (key: string) => string): string {
  if (!(error instanceof ApiError)) return t("error.unreachable");
  return error.status === 401 ? t("login.refused") : error.message;
}
