import { CheckOutlined, CopyOutlined } from "@ant-design/icons";
import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";

/** Something to paste into a terminal or keep in a safe place. */
export function Copyable({ text, label }: { text: string; label: string }) {
  const { t } = useTranslation();
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 2000);
  };
  return (
    <div className="copyable">
      <code aria-label={label}>{text}</code>
      <Button size="small" icon={done ? <CheckOutlined /> : <CopyOutlined />} onClick={() => void copy()}>
        {done ? t("action.copied") : t("action.copy")}
      </Button>
    </div>
  );
}
