import { commandLine, pieces } from "@/lib/text";

/** Machine text; what cannot be printed is shown escaped and set apart. */
export function Text({ value, mono = false }: { value: string; mono?: boolean }) {
  const parts = pieces(value);
  const body = parts.map((part, index) =>
    part.escaped ? (
      <span key={index} className="escaped">
        {part.text}
      </span>
    ) : (
      part.text
    ),
  );
  return mono ? <span className="mono">{body}</span> : <>{body}</>;
}

export function CommandLine({ argv }: { argv: readonly string[] }) {
  return <Text mono value={commandLine(argv)} />;
}
