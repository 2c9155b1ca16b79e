import { Alert, Modal } from "antd";
import { useTranslation } from "react-i18next";
import { Copyable } from "./Copy";

export interface SecretText {
  title: string;
  text: string;
}

/** A password or token that the server tells once. */
export function Secret({ secret, onClose }: { secret: SecretText | null; onClose(): void }) {
  const { t } = useTranslation();
  return (
    <Modal open={secret !== null} onCancel={onClose} onOk={onClose} okText={t("secret.kept")} cancelButtonProps={{ style: { display: "none" } }} title={secret?.title} mask={{ closable: false }} destroyOnHidden>
      {secret && (
        <div className="stack">
          <Alert type="warning" showIcon title={t("secret.once")} />
          <Copyable text={secret.text} label={secret.title} />
        </div>
      )}
    </Modal>
  );
}
