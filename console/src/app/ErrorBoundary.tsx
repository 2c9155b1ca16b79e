import { Component, type ReactNode } from "react";
import { Failed } from "@/ui/States";

/** A page that breaks says so and leaves the menu alive. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: null as unknown };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <div className="page">
        <Failed error={this.state.error} retry={() => window.location.reload()} />
      </div>
    );
  }
}
