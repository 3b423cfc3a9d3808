"""The running gateway: a pure core that turns stimuli into effects, and shells that do the IO."""
